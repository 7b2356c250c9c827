"""Finds the mails that a person means by a path: files, mbox, Maildir, folders, standard input; each may be gzipped.

Rule 1: one mail is in memory at a time, at most 64 MiB of it.
Rule 2: what cannot be read becomes a letter with `error`, and the others go on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from telltale.cli.engine.mbox import BEGINNING, LARGEST, Readable, messages
from telltale.cli.errors import CommandError

STANDARD_INPUT = "-"
CUT = "the mail is larger than 64 MiB; only the first 64 MiB were read"
_GZIP = b"\x1f\x8b"  # RFC 1952 section 2.3.1
_ONE_MAIL = (".eml", ".eml.gz")  # a postmark may stand in front of it all the same
_MAILDIR = ("new", "cur")  # what stands in "tmp" is not delivered yet


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail and where it stands. Either `error` says why it cannot be read, or it has its octets."""

    path: str  # of its file; in an mbox with its number behind it: "spool.mbox#17"
    octets: bytes = b""
    oddities: tuple[str, ...] = ()
    error: str = ""


def letters(paths: Sequence[str], *, largest: int = LARGEST) -> Iterator[Letter]:
    """All mails at these paths, in the order of the paths; folders are read in the order of their names."""
    for path in paths:
        if path == STANDARD_INPUT:
            yield from _in_stream(sys.stdin.buffer, path, largest)
            continue
        for found in _files_at(Path(path)):
            yield from [found] if isinstance(found, Letter) else _in_file(found, largest)


def files(paths: Iterable[str]) -> Iterator[Path]:
    """The files that `letters` will open."""
    for path in paths:
        if path != STANDARD_INPUT:
            yield from (found for found in _files_at(Path(path)) if isinstance(found, Path))


def check(paths: Iterable[str]) -> None:
    """Raises CommandError where a path names nothing: it is cheaper to hear that before an hour's work."""
    missing = [path for path in paths if path != STANDARD_INPUT and _is_missing(Path(path))]
    if missing:
        raise CommandError("\n".join(f"There is no file or folder {path!r}." for path in missing))


def _is_missing(path: Path) -> bool:
    with suppress(OSError):  # a folder on the way is closed to us: reading will say so
        return not path.exists()
    return False


def _files_at(path: Path) -> Iterator[Path | Letter]:
    try:
        if not path.is_dir():
            yield path  # whatever it is: a person who names a pipe means it
            return
        entries = sorted(path.iterdir())
    except OSError as error:
        yield Letter(str(path), error=_in_words(error))
        return
    is_maildir = all(_is_folder(path / name) for name in _MAILDIR)
    yield from _in_maildir(path, entries) if is_maildir else _in_folder(entries)


def _in_maildir(path: Path, entries: list[Path]) -> Iterator[Path | Letter]:
    """Its mails, then those of its folders, which Maildir++ keeps as ".Sent"; the other files are no mail."""
    for name in _MAILDIR:
        yield from _files_at(path / name)
    for entry in entries:
        if _is_folder(entry) and entry.name not in (*_MAILDIR, "tmp"):
            yield from _files_at(entry)


def _in_folder(entries: list[Path]) -> Iterator[Path | Letter]:
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            yield from _files_at(entry)
        elif not _is_special(entry):
            yield entry


def _is_folder(path: Path) -> bool:
    """A link to a folder may lead round in a circle."""
    with suppress(OSError):
        return path.is_dir() and not path.is_symlink()
    return False


def _is_special(path: Path) -> bool:
    """A socket, a device, a pipe: nobody who names its folder means it. What has vanished is to be named."""
    with suppress(OSError):
        return path.exists() and not path.is_file()
    return False


def _in_file(path: Path, largest: int) -> Iterator[Letter]:
    try:
        with path.open("rb") as file:
            yield from _in_stream(file, str(path), largest)
    except OSError as error:
        yield Letter(str(path), error=_in_words(error))


def _in_stream(stream: Readable, path: str, largest: int) -> Iterator[Letter]:
    begun = _Begun(stream)
    if begun.beginning.startswith(_GZIP):
        yield from _in_gzip(begun, path, largest)
    elif begun.beginning == BEGINNING and not path.endswith(_ONE_MAIL):
        for number, message in enumerate(messages(begun, largest=largest), start=1):
            yield Letter(f"{path}#{number}", message.octets, (CUT,) if message.is_cut else ())
    else:
        octets = begun.read(largest + 1)
        yield Letter(path, octets[:largest], (CUT,) if len(octets) > largest else ())


def _in_gzip(stream: _Begun, path: str, largest: int) -> Iterator[Letter]:
    import gzip
    import zlib

    try:
        with gzip.GzipFile(mode="rb", fileobj=cast("BinaryIO", stream)) as file:
            # Not by the whole of `_in_stream`: what is gzipped a thousand times would go a thousand calls deep.
            if file.peek(len(_GZIP)).startswith(_GZIP):
                yield Letter(path, error="it is gzipped twice")
                return
            yield from _in_stream(file, path, largest)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        yield Letter(path, error=f"its gzip data are broken: {error}")


class _Begun:
    """A stream whose first octets can be looked at. `peek` of a pipe may show fewer than there will be."""

    def __init__(self, stream: Readable) -> None:
        self.stream = stream
        self.beginning = self.left = stream.read(len(BEGINNING))

    def read(self, size: int, /) -> bytes:
        left, self.left = self.left[:size], self.left[size:]
        return left + self.stream.read(size - len(left)) if len(left) < size else left


def _in_words(error: OSError) -> str:
    return error.strerror or str(error)
