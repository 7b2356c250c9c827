"""What an agent types into To, Cc and Bcc: addresses as people write them, checked one by one.

Needs `email-validator`, which comes with the desk; the rest of `telltale.mail` runs without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

# A separator outside of quotes and angle brackets.
_PIECE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^<>]*>|[^,;\n"<]|["<])+')
_NAMED = re.compile(r"\s*(?P<name>.*?)\s*<\s*(?P<address>[^<>]*?)\s*>\s*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class BadAddressError(ValueError):
    """The text names the piece that is no address, says what is wrong with it and what to do."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A name and an address: RFC 5322 section 3.4."""

    display_name: str
    address: str


def parse_addresses(text: str) -> tuple[Mailbox, ...]:
    """The addresses in `text`, in order: commas, semicolons and line ends stand between them.

    Raises BadAddressError for the first piece that is none.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return tuple(_parse(piece.strip()) for piece in _PIECE.findall(text) if piece.strip())


def _parse(piece: str) -> Mailbox:
    if _CONTROL.search(piece):
        raise BadAddressError(f"{_shown(piece)} holds a control character. Type the address anew.")
    named = _NAMED.fullmatch(piece)
    name = named["name"].strip('"').replace('\\"', '"') if named else ""
    address = named["address"] if named else piece
    if "@" not in address:
        raise BadAddressError(f"{_shown(piece)} is no address: it has no @. Write it as name@domain.example.")
    try:
        checked = validate_email(address, check_deliverability=False, globally_deliverable=False, test_environment=True)
    except EmailNotValidError as error:
        raise BadAddressError(f"{_shown(piece)} is no address: {error}") from error
    if "." not in checked.domain:
        raise BadAddressError(f"{_shown(piece)} is no address: its domain {checked.domain} has no dot.")
    return Mailbox(name, checked.normalized)


def _shown(piece: str) -> str:
    return f"“{_CONTROL.sub('�', piece)[:100]}”"
