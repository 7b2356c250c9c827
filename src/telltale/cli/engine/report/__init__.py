"""`telltale bounce report`: a page over a pile of bounces. One pass, bounded memory, one file without a script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from telltale.cli.engine import sources
from telltale.cli.engine.processes import in_order
from telltale.cli.engine.progress import watched
from telltale.cli.engine.read import UNREADABLE, chunks
from telltale.cli.engine.report.page import html_of
from telltale.cli.engine.report.tally import Tally, tally_of
from telltale.cli.errors import CommandError


def report(paths: Sequence[str], *, html: str, jobs: int) -> int:
    """The command. The page appears as a whole, or not at all."""
    sources.check(paths)
    target = _writable(Path(html))
    total = Tally()
    for tally in in_order(tally_of, chunks(watched(paths)), jobs=jobs):
        total.add(tally)
    _write(target, html_of(total, paths=paths, now=datetime.now(UTC)))
    refused = f"refused for good: {total.failed:,}, for now: {total.delayed:,}"
    print(f"Mails read: {total.mails:,}; {refused}. The page is {html}")
    return UNREADABLE if total.unreadable else 0


def _writable(target: Path) -> Path:
    """Raises CommandError where the page could not be written: said before the work, not after it."""
    try:
        target.exists()
    except OSError as error:
        raise CommandError(f"--html {str(target)!r}: {error.strerror}.") from error
    if target.is_dir():
        raise CommandError(f"--html {str(target)!r} is a folder; name the file to write.")
    if not target.parent.is_dir():
        raise CommandError(f"--html: there is no folder {str(target.parent)!r}.")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise CommandError(f"--html {str(target)!r} may not be written by this user.")
    return target


def _write(target: Path, text: str) -> None:
    octets = text.encode()
    if target.exists() and not target.is_file():  # /dev/stdout, a pipe
        target.write_bytes(octets)
        return
    half = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        half.write_bytes(octets)
        half.replace(target)
    except OSError as error:
        with suppress(OSError):
            half.unlink()
        raise CommandError(f"--html {str(target)!r} could not be written: {error.strerror}.") from error
