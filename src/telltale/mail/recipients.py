"""What an agent types into To, Cc and Bcc: addresses as people write them, checked one by one.

Needs `email-validator`, which comes with the desk; the rest of `telltale.mail` runs without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

LONGEST_LOCAL_PART = 64  # octets, RFC 5321 section 4.5.3.1.1
LONGEST_ADDRESS = 254  # octets: a path may have 256 with its angle brackets, RFC 5321 section 4.5.3.1.3
LONGEST_QUOTE = 100

# Separators count outside of quotes and angle brackets only. The last alternative takes what is never closed.
_PIECE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^<>]*>|[^,;\n"<]|["<])+', re.DOTALL)
_NAMED = re.compile(r"(?P<name>.*?)\s*<\s*(?P<address>[^<>]*?)\s*>", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return tuple(_parse(piece.strip(" \n")) for piece in _PIECE.findall(text) if piece.strip(" \n"))


def _parse(piece: str) -> Mailbox:
    if _CONTROL.search(piece):
        what = "a line break" if "\n" in piece else "a character that cannot be seen"
        raise BadAddressError(f"{_shown(piece)} has {what} inside. Type it again on one line.")
    named = _NAMED.fullmatch(piece)
    address = named["address"] if named else piece
    return Mailbox(_unquoted(named["name"]) if named else "", _checked(address, piece))


def _checked(address: str, piece: str) -> str:
    if "@" not in address:
        raise _bad(piece, "it has no @", "Write it as name@domain.example.")
    if len(address.rpartition("@")[0].encode()) > LONGEST_LOCAL_PART:
        raise _bad(
            piece,
            f"what stands before the @ is longer than {LONGEST_LOCAL_PART} octets",
            "Check it for a slip.",
        )
    if len(address.encode()) > LONGEST_ADDRESS:
        raise _bad(piece, f"it is longer than {LONGEST_ADDRESS} octets", "Check it for a slip.")
    try:
        checked = validate_email(
            address, check_deliverability=False, globally_deliverable=False, test_environment=True
        )
    except EmailNotValidError as error:
        raise _bad(piece, str(error).rstrip("."), "Correct it, or take it out.") from error
    if "." not in checked.domain:
        raise _bad(piece, f"its domain “{checked.domain}” has no dot", "Write the whole domain.")
    return checked.normalized


def _unquoted(name: str) -> str:
    """A display name as people read it: without the quotes and backslashes of RFC 5322 section 3.2.4."""
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        return re.sub(r"\\(.)", r"\1", name[1:-1]).strip()
    return name


def _bad(piece: str, why: str, what_to_do: str) -> BadAddressError:
    return BadAddressError(f"{_shown(piece)} is no address: {why}. {what_to_do}")


def _shown(piece: str) -> str:
    short = piece if len(piece) <= LONGEST_QUOTE else f"{piece[:LONGEST_QUOTE]}…"
    visible = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", short)
    return f"“{visible}”"
