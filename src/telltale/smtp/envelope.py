"""What is sent and to whom: the envelope of RFC 5321 section 2.3.1, and its content."""

from __future__ import annotations

import re
from dataclasses import dataclass

from telltale.smtp.dsn import DsnRequest
from telltale.smtp.route import ascii_domain

_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<> "]')


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one recipient. `mail_from` is the return path, "" for none.

    `dsn` goes along where the server offers DSN; None asks for nothing.
    Raises ValueError for an address that would break out of its command line.
    """

    mail_from: str
    rcpt_to: str
    message: bytes
    dsn: DsnRequest | None = None

    def __post_init__(self) -> None:
        if not self.rcpt_to:
            raise ValueError("an envelope needs a recipient")
        for address in (self.mail_from, self.rcpt_to):
            if _UNSAFE.search(_QUOTED_STRING.sub(_control_characters, address)):
                raise ValueError(f"{address!r} cannot stand in an SMTP command")

    @property
    def non_ascii_address(self) -> str:
        """An address that only SMTPUTF8 (RFC 6531) can carry, or ""."""
        for address in (self.rcpt_to, self.mail_from):
            if not with_ascii_domain(address).isascii():
                return address
        return ""


def with_ascii_domain(address: str) -> str:
    """The address with its domain in A-labels, which every server takes; a local part stays as it is."""
    if address.isascii():
        return address
    local_part, _, domain = address.rpartition("@")
    try:
        return f"{local_part}@{ascii_domain(domain)}"
    except ValueError:
        return address


def _control_characters(quoted: re.Match[str]) -> str:
    """What stays dangerous inside a quoted string, where blanks and angle brackets are none."""
    return "".join(character for character in quoted[0] if not character.isprintable())
