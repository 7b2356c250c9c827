"""Files that are on the disk before the database says that they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


class DurableStorage(FileSystemStorage):
    """Django's file storage, with each file and its folder flushed to the disk before `save` returns.

    A row that names a file is committed after the file was saved: after a power cut the row must not point
    to an empty one.
    """

    def _save(self, name: str, content: Any) -> str:
        try:
            saved: str = super()._save(name, content)  # type: ignore[misc]  # the stubs lack it
        except OSError:  # a full disk: what got onto it is nobody's, for names are never given twice
            Path(self.path(name)).unlink(missing_ok=True)
            raise
        path = Path(self.path(saved))
        _flush(path)
        _flush(path.parent)
        return saved


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
