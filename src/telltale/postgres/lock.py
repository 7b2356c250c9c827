"""A lock on a folder that ends with its owner, however that comes about."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from telltale.postgres.errors import FolderInUseError


class Lock:
    """A file with the owner's process id, locked by flock.

    The kernel drops the lock when the last process that holds the open file is gone, so no stale lock can
    be, even where process ids start over. A child that inherits the file holds the lock as well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.was_abandoned = False  # whether the owner before us ended without release()
        self._file: int | None = None

    def acquire(self, *, otherwise: str) -> None:
        """Takes the lock. Raises FolderInUseError with the words of `otherwise`, where {pid} is the owner."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid(os.read(file, 20))
            os.close(file)
            raise FolderInUseError(otherwise.format(pid=pid or "unknown"), pid=pid) from None
        self.was_abandoned = os.fstat(file).st_size > 0
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            self.close()

    def close(self) -> None:
        """Leaves the lock to those who inherited it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def fileno(self) -> int:
        """The open file, for a child that is to hold the lock too."""
        if self._file is None:
            raise ValueError(f"{self.path} is not locked by us")
        return self._file


def _pid(content: bytes) -> int | None:
    text = content.strip()
    return int(text) if text.isdigit() else None
