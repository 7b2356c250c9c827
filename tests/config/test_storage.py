"""Where files are kept: whole, or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from telltale.config.storage import DurableStorage


class CutOff(ContentFile):
    """A file that the disk has no room for after its first piece."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        yield b"the beginning"
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_there_whole(tmp_path: Path):
    storage = DurableStorage(location=tmp_path)

    name = storage.save("a/mail.eml", ContentFile(b"octets"))

    assert (tmp_path / name).read_bytes() == b"octets"


def test_of_a_file_that_found_no_room_nothing_is_left(tmp_path: Path):
    storage = DurableStorage(location=tmp_path)

    with pytest.raises(OSError, match="No space left"):
        storage.save("a/mail.eml", CutOff(b""))

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
