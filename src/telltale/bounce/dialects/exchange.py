"""Exchange 5.5 to 2003, and what connects to it: "ana@lamp.example on Mon, 2 Nov 2026 …", and the reason below."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS, addresses_in
from telltale.mail.report import RecipientReport

_HEADINGS = (
    "did not reach the following recipient(s)",
    "the following recipient(s) could not be reached",
    "did not reach the following recipient",
    "could not be reached",
    "an die folgenden empfänger konnte",
    "folgende(n) empfänger konnte",
    "n'a pas été remis aux destinataires suivants",
    "no se pudo entregar a los destinatarios siguientes",
)
_ON = re.compile(r"\s*(\S.{0,300}?)(?:;)? (?:on|am|le|el|il|op|на|的) (?:\w{2,4}\.?, )?\d{1,4}[ ./-]")
_WITHIN = re.compile(rf"(?:SMTP[=:]|rfc822[=:;]\s*)({ADDRESS})", re.IGNORECASE)
_INTERNAL = re.compile(r"\s*(?:MSEXCH:|The MTS-ID of the original message|;?[cap]=|\d{8,})", re.IGNORECASE)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    return reports(notice, list(_entries(below(notice, *_HEADINGS))), speaker)


def _entries(lines: list[str]) -> Iterator[Entry]:
    entry: Entry | None = None
    is_internal = False
    for line in lines:
        if address := _address_on(line):
            if entry:
                yield entry
            entry, is_internal = Entry(address, [[]]), False
        elif _INTERNAL.match(line):
            is_internal = True  # what follows continues it
        elif entry and line.strip() and not is_internal:
            entry.paragraphs[0].append(line)
    if entry:
        yield entry


def _address_on(line: str) -> str:
    """The address in "ana@lamp.example on Mon, …" or in an X.400 name with "SMTP=ana@lamp.example"."""
    if "@" not in line or (_INTERNAL.match(line) and "SMTP=" not in line):
        return ""
    if within := _WITHIN.search(line):
        return within[1]
    named = _ON.match(line)
    text = named[1] if named else line.strip()
    return next(iter(addresses_in(text)), "") if named or " " not in text else ""


DIALECT = Dialect(
    name="exchange",
    signs=(
        "msexch:",
        "mts-id of the original message",
        "did not reach the following recipient(s)",
        *_HEADINGS[4:],
    ),
    read=_read,
)
