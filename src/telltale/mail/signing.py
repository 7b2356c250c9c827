"""What the signed addresses have in common: numbers and an HMAC, in letters that survive a change of case.

Servers may fold the case of a local part, so everything is in lower case and compared in lower case.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Sequence
from enum import StrEnum

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_OCTETS = 10  # 80 bits: 16 letters in base32


class Fault(StrEnum):
    """Why an address is no proof."""

    NOT_OURS = "not a signed address"
    FORGED = "its signature is wrong"
    EXPIRED = "it has expired"


def signature(stem: str, key: bytes) -> str:
    """16 letters that only who has the key can make for this `stem`."""
    digest = hmac.new(key, stem.encode(), hashlib.sha256).digest()
    return b32encode(digest[:_OCTETS]).decode().lower()


def holds(stem: str, signed: str, keys: Sequence[bytes]) -> bool:
    """Whether `signed` was made for `stem` with one of `keys`: the current one, or one before it."""
    given = signed.encode("utf-8", "replace")
    return any(hmac.compare_digest(signature(stem, key).encode(), given) for key in keys)


def base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def is_base36(text: str) -> bool:
    """Whether `int(text, 36)` is a number that we may have written; 13 digits hold 64 bits."""
    return 0 < len(text) <= 13 and all(letter in _DIGITS for letter in text)
