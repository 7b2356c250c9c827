"""Sendmail: a list of addresses, and a transcript of the session in which they were refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from telltale.bounce.dialects.dialect import Dialect, above, below, reports
from telltale.bounce.dialects.entries import Entry, entries
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS, folded
from telltale.mail.report import RecipientReport

_LIST = ("the following addresses had", "the following address had")
_TRANSCRIPT = "transcript of session follows"
_COMMAND = re.compile(
    rf"\s*>>> (?:RCPT|MAIL|DATA|QUIT|HELO|EHLO|STARTTLS)?[^<]{{0,20}}(?:<({ADDRESS})>)?", re.IGNORECASE
)
_ABOUT_ONE = re.compile(rf"\s*[45]\d\d (?:[45]\.\d+\.\d+ )?<?({ADDRESS})>?\.\.\. ?(.*)")
_REASON = re.compile(r"\s*\(reason: (.*)\)\s*$")


@dataclass(slots=True)
class _Refusals:
    """What the transcript says of each address: its lines, those of the other server first."""

    by_address: dict[str, list[list[str]]] = field(default_factory=dict)
    heard_last: list[str] = field(default_factory=list)

    def add(self, address: str, line: str) -> None:
        known = self.by_address.setdefault(address.lower(), [])
        if self.heard_last:
            known.append(self.heard_last)
            self.heard_last = []
        known.append([line])


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    refusals = _in_transcript(below(notice, _TRANSCRIPT)) if _TRANSCRIPT in notice.lower else _Refusals()
    found = _listed(notice)
    spoken = {folded(address): words for address, words in refusals.by_address.items()}
    for entry in found:
        entry.paragraphs = [*spoken.get(folded(entry.address), ()), *entry.paragraphs]
    if not found:
        found = [Entry(address, words) for address, words in refusals.by_address.items()]
    return reports(notice, found, speaker)


def _listed(notice: Notice) -> list[Entry]:
    if not any(heading in notice.lower for heading in _LIST):
        return []
    lines = above(below(notice, *_LIST), _TRANSCRIPT)
    return entries(_REASON.sub(r"    \1", line).removeprefix(">>> ") for line in lines)


def _in_transcript(lines: list[str]) -> _Refusals:
    """A refusal is that of the other server ("<<< 550 …"); below it stands what Sendmail made of it."""
    refusals = _Refusals()
    for line in lines:
        if about := _ABOUT_ONE.match(line):
            refusals.add(about[1], line.strip())
        elif line.lstrip().startswith("<<<"):
            refusals.heard_last.append(line)
        elif _COMMAND.match(line):
            refusals.heard_last = [line]
    return refusals


DIALECT = Dialect(
    name="sendmail",
    signs=(_TRANSCRIPT, *_LIST),
    read=_read,
)
