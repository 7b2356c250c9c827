"""The account that the server runs as.

PostgreSQL refuses to run as root. Where root starts the desk, the server runs as an account that is there
already: `postgres`, else `nobody`. Neither can connect: the peer map names the desk's own account alone.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telltale.postgres.errors import PostgresError

_FOR_ROOT = ("postgres", "nobody")
# Nothing from the desk's own environment: neither its secrets nor PGDATA, PGPORT and their like.
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    @property
    def is_another(self) -> bool:
        """Whether it is not the account that this process runs as."""
        return self.uid != os.geteuid()

    def run(
        self, command: Sequence[str | Path], *, cwd: Path | str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """Runs a short command as this account, and keeps what it says."""
        return subprocess.run(  # noqa: S603  (our own words, no shell)
            command,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
            **self.start(cwd=cwd),
        )

    def start(self, *, cwd: Path | str) -> dict[str, Any]:
        """The arguments that make subprocess start a program as this account, with no rights of ours left."""
        # Older servers ask for their current folder and fail where the account may not enter ours.
        arguments: dict[str, Any] = {"env": _ENVIRONMENT, "cwd": cwd, "stdin": subprocess.DEVNULL}
        if self.is_another:
            arguments |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return arguments

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may go there, whatever modes, ACLs and mounts say on the way."""
        return self.run(["test", "-x", folder]).returncode == 0

    def barrier(self, folder: Path) -> Path:
        """The first folder on the way to `folder` that this account may not enter."""
        way = [*reversed(folder.parents), folder]
        return next((step for step in way if not self.can_enter(step)), folder)


def current_account() -> Account:
    """The account that this process runs as. Raises PostgresError where it has no name."""
    return _known(os.geteuid())


def account_for(data: Path) -> Account:
    """The account for the server whose data lie in `data`, or will.

    Data that are there belong to somebody, and stay theirs: only the owner can use them.
    """
    if os.geteuid() != 0:
        return current_account()
    if data.exists() and data.stat().st_uid != 0:
        return _known(data.stat().st_uid)
    return _unprivileged()


def _unprivileged() -> Account:
    for name in _FOR_ROOT:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PostgresError(
        "PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody. "
        "Start the desk as an ordinary user."
    )


def _known(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise PostgresError(
            f"User id {uid} has no name on this machine, and PostgreSQL needs one. "
            "Add it to /etc/passwd, or set DATABASE_URL to a PostgreSQL elsewhere."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
