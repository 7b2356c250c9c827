"""A text column that is encrypted at rest: a copy of the database alone gives no password away."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # no subscript at run time
    """Text in Python, a Fernet token in the database, under SECRET_KEY and its predecessors."""

    def get_prep_value(self, value: Any) -> str:
        return _fernet().encrypt(str(value).encode()).decode() if value else ""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str:
        if not value:
            return ""
        try:
            return _fernet().decrypt(value.encode()).decode()
        except InvalidToken:
            raise ValueError(
                "A stored password was encrypted under another SECRET_KEY. "
                "Put the earlier key into TELLTALE_EARLIER_SECRET_KEYS, or enter the password again."
            ) from None


def _fernet() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(secret: str) -> bytes:
    digest = hashlib.blake2b(secret.encode(), digest_size=32, person=b"telltale:fields").digest()
    return base64.urlsafe_b64encode(digest)
