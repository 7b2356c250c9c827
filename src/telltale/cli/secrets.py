"""The desk's own secret key, where SECRET_KEY is empty."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from telltale.cli.errors import CommandError

FILE = "secret_key"


def kept_in(data: Path) -> str:
    """The key in the data folder; made at the first call, readable by its owner alone."""
    path = data / FILE
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _make(path)
    except PermissionError:
        raise CommandError(f"{path} belongs to another user. Start the desk as that user.") from None


def _make(path: Path) -> str:
    key = secrets.token_urlsafe(48)
    make_data_folder(path.parent)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    return key


def make_data_folder(data: Path) -> None:
    """Makes the folder where there is none, and checks that we may use it. What is secret has a mode of its own.

    As root others may pass through: the server of the desk's own PostgreSQL runs as another user.
    """
    try:
        if not data.is_dir():
            data.mkdir(parents=True)
            data.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise CommandError(f"TELLTALE_DATA: {data} cannot be made: {error.strerror}.") from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise CommandError(
            f"TELLTALE_DATA: {data} may not be written by this user. Start the desk as the folder's owner, "
            "or set TELLTALE_DATA to another folder."
        )
