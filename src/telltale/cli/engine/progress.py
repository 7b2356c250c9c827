"""A bar on standard error for a pile that takes a while; nothing where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from telltale.cli.engine import sources
from telltale.cli.engine.sources import Letter

MANY_FILES = 200
MANY_OCTETS = 8 << 20
_PAUSE = 0.1  # seconds between two drawings


def watched(paths: Sequence[str]) -> Iterator[Letter]:
    """The letters at these paths, and a bar that shows how many have been taken."""
    letters = sources.letters(paths)
    if not sys.stderr.isatty() or sources.STANDARD_INPUT in paths:
        return letters
    number, octets = _size(paths)
    return _with_bar(letters, octets) if number >= MANY_FILES or octets >= MANY_OCTETS else letters


def _with_bar(letters: Iterator[Letter], octets: int) -> Iterator[Letter]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    # Without a thread of its own: processes are started meanwhile.
    bar = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
    task = bar.add_task("", total=octets)
    drawn = 0.0
    with bar:
        for letter in letters:
            yield letter
            bar.advance(task, len(letter.octets))
            if time.monotonic() - drawn > _PAUSE:
                bar.refresh()
                drawn = time.monotonic()


def _size(paths: Sequence[str]) -> tuple[int, int]:
    """How many files there are, and their octets."""
    number = octets = 0
    for file in sources.files(paths):
        number += 1
        octets += _octets(file)
    return number, octets


def _octets(file: Path) -> int:
    with suppress(OSError):  # the reader will say what is wrong with it
        return file.stat().st_size
    return 0
