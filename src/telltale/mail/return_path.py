"""The signed return path: which delivery a bounce is about, and the proof that we sent it.

`b-<delivery>-<day>-<signature>@our.domain`. Whoever has not seen a mail of ours cannot make one up, so a bounce to
such an address proves itself.
The local part stays below 64 octets (RFC 5321 section 4.5.3.1.1) for any delivery id below 2**63.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from telltale.mail.signing import Fault, base36, holds, is_base36, signature

PREFIX = "b"
LIFETIME = timedelta(days=30)  # a queue gives up after five days; its bounce may itself wait five more
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReturnPath:
    """A return path whose signature held: the delivery it was made for, and the day it was made."""

    delivery_id: int
    made_on: datetime


def sign(delivery_id: int, *, domain: str, key: bytes, now: datetime) -> str:
    """The return path for one delivery, signed with `key`."""
    stem = f"{PREFIX}-{base36(delivery_id)}-{base36((now - _EPOCH).days)}"
    return f"{stem}-{signature(stem, key)}@{domain}"


def verify(address: str, *, keys: Sequence[bytes], now: datetime) -> ReturnPath | Fault:
    """Whose return path this is. `keys`: the current one and those before it, so that keys can be changed."""
    local_part = address.rpartition("@")[0].lower()
    stem, _, signed = local_part.rpartition("-")
    match stem.split("-"):
        case [prefix, number, day] if prefix == PREFIX and is_base36(number) and is_base36(day):
            pass
        case _:
            return Fault.NOT_OURS
    if not holds(stem, signed, keys):
        return Fault.FORGED
    made_on = _EPOCH + timedelta(days=int(day, 36))
    return Fault.EXPIRED if now > made_on + LIFETIME else ReturnPath(int(number, 36), made_on)
