"""What every dialect is: a name, the words by which it is known, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from telltale.bounce.dialects.entries import Entry, entries, reports_from
from telltale.bounce.notice import Notice
from telltale.bounce.sorting import action_of
from telltale.mail.report import RecipientReport

MOST_LINES = 2_000  # of one notice that are read


@dataclass(frozen=True, slots=True)
class Dialect:
    """Who writes so. One of `signs` (lower case) stands in every notice of its kind.

    `speaker` is the type of a diagnostic that is no reply of an SMTP server, but its own words: RFC 3464
    section 2.3.6.
    """

    name: str
    signs: tuple[str, ...]
    read: Callable[[Notice, str], list[RecipientReport]]

    @property
    def speaker(self) -> str:
        return f"x-{self.name}"


def below(notice: Notice, *headings: str) -> list[str]:
    """The lines below the first of these headings (lower case); all where none of them is there."""
    lines = notice.lines[:MOST_LINES]
    for heading in headings:
        for at, line in enumerate(lines):
            if heading in line.lower():
                return lines[at + 1 :]
    return lines


def above(lines: Sequence[str], *ends: str) -> list[str]:
    """The lines in front of the first that holds one of these (lower case)."""
    end = next(
        (at for at, line in enumerate(lines) if any(words in line.lower() for words in ends)), len(lines)
    )
    return list(lines[:end])


def reports(notice: Notice, found: Sequence[Entry], speaker: str) -> list[RecipientReport]:
    """What became of these recipients, as the notice says."""
    return reports_from(found, action=action_of(notice), speaker=speaker)


def listed_below(*headings: str) -> Callable[[Notice, str], list[RecipientReport]]:
    """Reads a notice that lists each address with what is to be said of it, below a heading."""

    def read(notice: Notice, speaker: str) -> list[RecipientReport]:
        return reports(notice, entries(below(notice, *headings)), speaker)

    return read


def matched(pattern: re.Pattern[str]) -> Callable[[Notice, str], list[RecipientReport]]:
    """Reads a notice by a pattern with the groups `address` and `words`."""

    def read(notice: Notice, speaker: str) -> list[RecipientReport]:
        found = [
            Entry(one["address"], [(one["words"] or "").split("\n")]) for one in pattern.finditer(notice.text)
        ]
        return reports(notice, found, speaker)

    return read
