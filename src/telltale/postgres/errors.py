"""What can stop the desk's own PostgreSQL, in words for the person who starts it."""

from __future__ import annotations


class PostgresError(Exception):
    """The server cannot serve; the text says why, and what to do."""


class FolderInUseError(PostgresError):
    """Another process, which lives, has this folder."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid
