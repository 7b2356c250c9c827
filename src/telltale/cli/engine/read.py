"""`telltale bounce read`: what each mail is, and what it says of each recipient."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from telltale.bounce import explain
from telltale.bounce import read as read_mail
from telltale.cli.engine import contract, sources
from telltale.cli.engine.processes import in_order
from telltale.cli.engine.progress import watched
from telltale.cli.engine.sources import Letter

MOST_LETTERS = 64  # that one chunk of work has
MOST_OCTETS = 1 << 20  # a chunk that has more is complete
UNREADABLE = 1  # the exit code where a mail could not be read


def read(paths: Sequence[str], *, as_json: bool, jobs: int) -> int:
    """The command."""
    sources.check(paths)
    # A bar and the lines of the answer would overwrite each other on one terminal.
    letters = sources.letters(paths) if sys.stdout.isatty() else watched(paths)
    return _as_json(letters, jobs) if as_json else _as_table(letters, jobs, paths)


def chunks(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """The letters in portions that are worth a trip to another process."""
    chunk: list[Letter] = []
    size = 0
    for letter in letters:
        chunk.append(letter)
        size += len(letter.octets)
        if len(chunk) >= MOST_LETTERS or size >= MOST_OCTETS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _as_json(letters: Iterator[Letter], jobs: int) -> int:
    seen = _Errors()
    for lines in in_order(lines_of, seen.noting(chunks(letters)), jobs=jobs):
        sys.stdout.write(lines)
    return UNREADABLE if seen.number else 0


def _as_table(letters: Iterator[Letter], jobs: int, paths: Sequence[str]) -> int:
    from telltale.cli.engine.table import Table, rows_of

    table = Table(paths)
    seen = _Errors()
    for rows in in_order(rows_of, seen.noting(chunks(letters)), jobs=jobs):
        table.add(rows)
    table.end()
    return UNREADABLE if seen.number else 0


def lines_of(letters: Iterable[Letter]) -> str:
    """A line of JSON for each letter."""
    return "".join(map(_line_of, letters))


def _line_of(letter: Letter) -> str:
    if letter.error:
        return contract.line(contract.of_error(letter))
    returned = read_mail(letter.octets)
    return contract.line(contract.of_mail(letter, returned, map(explain, returned.reports)))


class _Errors:
    """Counts the letters that could not be read."""

    def __init__(self) -> None:
        self.number = 0

    def noting(self, chunks: Iterable[list[Letter]]) -> Iterator[list[Letter]]:
        for chunk in chunks:
            self.number += sum(bool(letter.error) for letter in chunk)
            yield chunk
