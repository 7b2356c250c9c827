"""The table of `telltale bounce read`: a row for each recipient, a line of totals below.

Rule: words of strangers stand here as plain text. Neither rich nor the terminal finds orders in them.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from telltale.bounce import Kind, explain, read
from telltale.cli.engine.sources import Letter
from telltale.cli.engine.text import visible
from telltale.mail.report import Action, RecipientReport

if TYPE_CHECKING:
    from rich.text import Text

BATCH = 100  # rows that are drawn at a time; the first decide how wide the columns are
WITHOUT_TERMINAL = 1_000  # columns, where the table goes to a file or a program: nothing is folded
_PLURALS = {
    Kind.BOUNCE: ("bounce", "bounces"),
    Kind.DELAYED: ("delayed", "delayed"),
    Kind.DELIVERED: ("delivered", "delivered"),
    Kind.COMPLAINT: ("complaint", "complaints"),
    Kind.AUTOREPLY: ("automatic reply", "automatic replies"),
    Kind.READ_RECEIPT: ("read receipt", "read receipts"),
    Kind.ORDINARY: ("ordinary mail", "ordinary mails"),
}
_COLOURS = {Action.FAILED: "red", Action.DELAYED: "yellow"}
_HEADINGS = ("Kind", "Recipient", "Action", "Code", "Reason", "Said by", "Mail")
_SHARES = (0, 6, 0, 0, 6, 3, 4)  # of the width that the other columns leave
_NARROWEST = 8  # columns
_GAP = 2  # columns
_ACTION = _HEADINGS.index("Action")
ROOM_FOR_ACTION = 100  # columns of a terminal; on a narrower one the kind tells enough


@dataclass(frozen=True, slots=True)
class Row:
    """What is said of one recipient; for a mail that says nothing of any, what it is."""

    path: str
    kind: Kind | None  # None where the mail could not be read
    is_first: bool  # of its mail
    recipient: str = ""
    action: Action | None = None
    code: str = ""
    reason: str = ""
    said_by: str = ""
    error: str = ""


def rows_of(letters: Iterable[Letter]) -> list[Row]:
    return [row for letter in letters for row in _rows_of(letter)]


class Table:
    """Rows come in, are drawn in batches, and end with the totals."""

    def __init__(self, paths: Sequence[str]) -> None:
        from telltale.cli.engine.screen import Screen

        is_seen = sys.stdout.isatty()
        self.screen = Screen(width=None if is_seen else WITHOUT_TERMINAL)
        self.folders = _folders(paths) if is_seen else ()
        self.waiting: list[Row] = []
        self.kinds: Counter[Kind] = Counter()
        self.unreadable = 0
        self.widths: list[int] = []

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if row.kind is None:
                self.unreadable += 1
                print(f"{visible(row.path)}: {visible(row.error)}", file=sys.stderr)
                continue
            self.kinds[row.kind] += row.is_first
            self.waiting.append(row)
        if len(self.waiting) >= BATCH:
            self._draw()

    def end(self) -> None:
        self._draw()
        self.screen.print(self._totals())

    def _draw(self) -> None:
        from rich.table import Table as RichTable

        if not self.waiting:
            return
        cells = [self._cells(row) for row in self.waiting]
        is_first = not self.widths
        self.widths = self.widths or _widths(cells, self.screen.width)
        table = RichTable(
            box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=is_first, header_style="dim"
        )
        for heading, width in zip(_HEADINGS, self.widths, strict=True):
            if width:
                table.add_column(heading, width=width, overflow="fold")
        for row, texts in zip(self.waiting, cells, strict=True):
            styled = _styled(row, texts, self.widths)
            table.add_row(*(text for text, width in zip(styled, self.widths, strict=True) if width))
        self.screen.print(table)
        self.waiting.clear()

    def _cells(self, row: Row) -> tuple[str, ...]:
        path = next(
            (row.path.removeprefix(each) for each in self.folders if row.path.startswith(each)), row.path
        )
        words = (row.kind or "", row.recipient, row.action or "", row.code, row.reason, row.said_by, path)
        return tuple(map(visible, words))

    def _totals(self) -> str:
        mails = sum(self.kinds.values())
        parts = [f"{number:,} {_PLURALS[kind][number != 1]}" for kind, number in self.kinds.most_common()]
        unreadable = f" {self.unreadable:,} could not be read." if self.unreadable else ""
        read_mails = f"{mails:,} {'mail' if mails == 1 else 'mails'}"
        return f"\n{read_mails}: {', '.join(parts)}.{unreadable}" if parts else f"No mail.{unreadable}"


def _rows_of(letter: Letter) -> list[Row]:
    if letter.error:
        return [Row(letter.path, None, is_first=True, error=letter.error)]
    returned = read(letter.octets)
    if not returned.reports:
        return [Row(letter.path, returned.kind, is_first=True)]
    return [
        _row(letter.path, returned.kind, report, is_first=number == 0)
        for number, report in enumerate(returned.reports)
    ]


def _row(path: str, kind: Kind, report: RecipientReport, *, is_first: bool) -> Row:
    verdict = explain(report)
    code = " ".join(str(part) for part in (report.reply_code, report.status) if part)
    return Row(
        path, kind, is_first, report.final_recipient, report.action, code, verdict.title, verdict.said_by
    )


def _styled(row: Row, cells: Sequence[str], widths: Sequence[int]) -> list[Text]:
    """Text objects, for in a plain string rich would look for markup."""
    from rich.text import Text

    colour = _COLOURS.get(row.action, "") if row.action else "dim"
    styles = (colour, "", colour, "", "", "", "dim")
    *others, mail = cells
    return [
        Text(cell, style) for cell, style in zip((*others, _end_of(mail, widths[-1])), styles, strict=True)
    ]


def _end_of(path: str, width: int) -> str:
    """The end tells mails apart."""
    return path if len(path) <= width else f"…{path[len(path) - width + 1 :]}"


def _folders(paths: Sequence[str]) -> tuple[str, ...]:
    """What can be left out in front of each path, for the person has just typed it; the longest first."""
    named = (Path(path) for path in paths)
    folders = {f"{path if path.is_dir() else path.parent}{os.sep}" for path in named}
    return tuple(sorted(folders, key=len, reverse=True))


def _widths(cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """What each column needs; where there is no room for that, the wide ones give way by their shares."""
    from rich.cells import cell_len

    needed = [max(map(cell_len, column)) for column in zip(_HEADINGS, *cells, strict=True)]
    if room < ROOM_FOR_ACTION:
        needed[_ACTION] = 0
    excess = sum(needed) + _GAP * sum(map(bool, needed)) - room
    for _ in range(excess):
        wide = [at for at, share in enumerate(_SHARES) if share and needed[at] > _NARROWEST]
        if not wide:
            break
        needed[max(wide, key=lambda at: needed[at] / _SHARES[at])] -= 1
    return needed
