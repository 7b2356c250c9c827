"""The signed return path: which delivery a bounce is about, and the proof that we sent it.

`b-<delivery>-<day>-<signature>@our.domain`, in lower case, since servers may fold the case of a local part.
Whoever has not seen a mail of ours cannot make one up, so a bounce to such an address proves itself.
The local part stays below 64 octets (RFC 5321 section 4.5.3.1.1) for any delivery id below 2**63.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

PREFIX = "b"
LIFETIME = timedelta(days=30)  # a queue gives up after five days; its bounce may itself wait five more
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SIGNATURE_OCTETS = 10  # 80 bits: 16 letters in base32
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


class Fault(StrEnum):
    """Why an address is no proof."""

    NOT_OURS = "not a signed return path"
    FORGED = "its signature is wrong"
    EXPIRED = "it has expired"


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """A return path whose signature held: the delivery it was made for, and the day it was made."""

    delivery_id: int
    made_on: datetime


def sign(delivery_id: int, *, domain: str, key: bytes, now: datetime) -> str:
    """The return path for one delivery, signed with `key`."""
    stem = f"{PREFIX}-{_base36(delivery_id)}-{_base36((now - _EPOCH).days)}"
    return f"{stem}-{_signature(stem, key)}@{domain}"


def verify(address: str, *, keys: Sequence[bytes], now: datetime) -> ReturnPath | Fault:
    """Whose return path this is. `keys`: the current one and those before it, so that keys can be changed."""
    local_part = address.rpartition("@")[0].lower()
    stem, _, signature = local_part.rpartition("-")
    match stem.split("-"):
        case [prefix, number, day] if prefix == PREFIX and _is_base36(number) and _is_base36(day):
            pass
        case _:
            return Fault.NOT_OURS
    if not any(
        hmac.compare_digest(_signature(stem, key).encode(), signature.encode("utf-8", "replace"))
        for key in keys
    ):
        return Fault.FORGED
    made_on = _EPOCH + timedelta(days=int(day, 36))
    return Fault.EXPIRED if now > made_on + LIFETIME else ReturnPath(int(number, 36), made_on)


def _signature(stem: str, key: bytes) -> str:
    digest = hmac.new(key, stem.encode(), hashlib.sha256).digest()
    return b32encode(digest[:_SIGNATURE_OCTETS]).decode().lower()


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def _is_base36(text: str) -> bool:
    return 0 < len(text) <= 13 and all(letter in _DIGITS for letter in text)
