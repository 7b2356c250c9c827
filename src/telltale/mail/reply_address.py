"""The signed reply address: which conversation an answer belongs to, whatever became of its header fields.

`support+c-<conversation>-<signature>@our.domain`: the mailbox's own address with a tag behind a plus sign, so that a
server which knows tags (RFC 5233, "subaddress") delivers it to the mailbox. Whoever writes to one has been given
it by somebody who has our mail. It does not expire: people answer after years.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telltale.mail.signing import Fault, base36, holds, is_base36, signature

PREFIX = "c"
LONGEST_LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """A reply address whose signature held."""

    mailbox: str  # the address without its tag, as it was written
    conversation_id: int


def sign(conversation_id: int, *, mailbox: str, key: bytes) -> str:
    """The reply address for this conversation of that mailbox; "" where the local part would get too long."""
    local_part, _, domain = mailbox.rpartition("@")
    stem = f"{PREFIX}-{base36(conversation_id)}"
    tagged = f"{local_part}+{stem}-{signature(_signed(stem, mailbox), key)}"
    return f"{tagged}@{domain}" if len(tagged.encode()) <= LONGEST_LOCAL_PART else ""


def verify(address: str, *, keys: Sequence[bytes]) -> ReplyAddress | Fault:
    """Which mailbox and conversation this is the reply address of. `keys`: the current one and those before it."""
    tagged, _, domain = address.rpartition("@")
    local_part, _, tag = tagged.rpartition("+")
    match tag.lower().split("-"):
        case [prefix, number, signed] if local_part and prefix == PREFIX and is_base36(number):
            mailbox = f"{local_part}@{domain}"
        case _:
            return Fault.NOT_OURS
    if not holds(_signed(f"{prefix}-{number}", mailbox), signed, keys):
        return Fault.FORGED
    return ReplyAddress(mailbox, int(number, 36))


def _signed(stem: str, mailbox: str) -> str:
    """The signature is for this mailbox alone, in any case of its letters."""
    return f"{stem} {mailbox.lower()}"
