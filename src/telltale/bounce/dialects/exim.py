"""Exim: the addresses two columns in, what was said of each four columns in. Spec chapter 50, "bounce_message_file".

An address that a filter or an alias made may be hidden, and may be a pipe or a file; then the one that it was made
from is the recipient.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import Entry, entries
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_HEADINGS = (
    "the following address(es) failed",
    "the following addresses failed",
    "the following address failed",
    "has not yet been delivered is:",
    "has not yet been delivered are:",
    "has not yet been delivered to the following",
    "following address(es) failed",
    "failed:",
)
_HIDDEN = re.compile(r"\s*(?:an undisclosed address|(?:pipe to |save to |to )?[|/].*|pipe to .*)$")
_MADE_FROM = re.compile(rf"\s*\(?(?:(?:ultimately )?generated (?:from|by)) ({ADDRESS})\)?")

_LOCAL = re.compile(r" {2}([\w.+-]{1,64}):?")  # an address of Exim's own domain, without it
_MALFORMED = re.compile(rf"<({ADDRESS})>: (malformed address: [^\n]*)")
_DELAY_REASON = re.compile(r"\s*Delay reason: ")


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    if malformed := _MALFORMED.findall(notice.text):
        return reports(notice, [Entry(address, [[words]]) for address, words in malformed], speaker)
    lines = below(notice, *_HEADINGS)
    return reports(notice, entries(_readable(lines)) or list(_local_entries(lines)), speaker)


def _local_entries(lines: list[str]) -> Iterator[Entry]:
    entry: Entry | None = None
    for line in lines:
        if named := _LOCAL.fullmatch(line):
            if entry:
                yield entry
            entry = Entry(named[1], [[]])
        elif entry and line.startswith("    "):
            entry.paragraphs[0].append(line)
    if entry:
        yield entry


def _readable(lines: list[str]) -> Iterator[str]:
    """With the address that a hidden one was made from in its place, and without labels."""
    is_hidden = False
    for line in lines:
        if _HIDDEN.match(line) and "@" not in line.partition("|")[0]:
            is_hidden = True
            continue
        if is_hidden and (made_from := _MADE_FROM.match(line)):
            yield f"  {made_from[1]}"
        else:
            yield _DELAY_REASON.sub("    ", line)
        is_hidden = False


DIALECT = Dialect(
    name="exim",
    signs=(
        "this message was created automatically by mail delivery software",
        "this message was created automatically by the smtp relay",
        "a message that you sent could not be delivered to",
        "a message that you sent contained one or more recipient addresses that were",
        "a message that you sent has not yet been delivered to",
    ),
    read=_read,
)
