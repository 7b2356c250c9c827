"""A text column that is encrypted at rest: a copy of the database alone gives no password away."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class UnreadableError(ValueError):
    """The text was encrypted under a SECRET_KEY that the desk does not know."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret was encrypted under another SECRET_KEY. "
            "Put the earlier key into TELLTALE_EARLIER_SECRET_KEYS, or enter the secret again."
        )


class Unreadable(str):
    """What stands for such a text: empty, and kept as it is stored, so that saving the row loses nothing.

    One secret that cannot be read must not keep the rest of the desk from its work: whoever needs that one asks
    for it by `readable`, and gets the error.
    """

    token: str

    def __new__(cls, token: str) -> Unreadable:
        empty = super().__new__(cls, "")
        empty.token = token
        return empty


def readable(secret: str) -> str:
    """The secret of an EncryptedTextField. Raises UnreadableError where it cannot be decrypted."""
    if isinstance(secret, Unreadable):
        raise UnreadableError
    return secret


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # no subscript at run time
    """Text in Python, a Fernet token in the database, under SECRET_KEY and its predecessors. See `readable`."""

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, Unreadable):
            return value.token
        return _fernet().encrypt(str(value).encode()).decode() if value else ""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str:
        if not value:
            return ""
        try:
            return _fernet().decrypt(value.encode()).decode()
        except InvalidToken:
            return Unreadable(value)


def _fernet() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(secret: str) -> bytes:
    digest = hashlib.blake2b(secret.encode(), digest_size=32, person=b"telltale:fields").digest()
    return base64.urlsafe_b64encode(digest)
