"""Which parameters go with MAIL and RCPT, and when a server cannot take the message at all.

Rule 1: what a server does not offer is not used.
Rule 2: what the message needs and the server does not offer is said before anything is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from telltale.mail.status import EnhancedStatus
from telltale.smtp.envelope import Envelope, with_ascii_domain
from telltale.smtp.extensions import Extensions

MESSAGE_TOO_LARGE = EnhancedStatus(5, 3, 4)
CONVERSION_NOT_SUPPORTED = EnhancedStatus(5, 6, 3)
NON_ASCII_NOT_SUPPORTED = EnhancedStatus(5, 6, 7)  # RFC 6531 section 3.5


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why this host cannot take this message, whatever the recipient."""

    text: str
    status: EnhancedStatus


def unfit(envelope: Envelope, content: bytes, extensions: Extensions) -> Unfit | None:
    """What stands against sending this content to a host with these extensions."""
    return (
        _too_large(len(content), extensions)
        or _needs_smtputf8(envelope, content, extensions)
        or _needs_8bitmime(content, extensions)
    )


def mail_line(envelope: Envelope, content: bytes, extensions: Extensions) -> str:
    parameters = [f"SIZE={len(content)}"] if "size" in extensions else []  # RFC 1870
    if not content.isascii() and "8bitmime" in extensions:
        parameters.append("BODY=8BITMIME")  # RFC 6152
    if smtputf8_reason(envelope, content):
        parameters.append("SMTPUTF8")  # RFC 6531
    if envelope.dsn and "dsn" in extensions:
        parameters += envelope.dsn.mail_parameters()
    return " ".join([f"MAIL FROM:<{with_ascii_domain(envelope.mail_from)}>", *parameters])


def rcpt_line(envelope: Envelope, extensions: Extensions) -> str:
    parameters = []
    if envelope.dsn and "dsn" in extensions:
        parameters = envelope.dsn.rcpt_parameters(envelope.rcpt_to)
    return " ".join([f"RCPT TO:<{with_ascii_domain(envelope.rcpt_to)}>", *parameters])


def smtputf8_reason(envelope: Envelope, content: bytes) -> str:
    """Why the message is an internationalised one: RFC 6531 section 3.4; "" where it is none."""
    if address := envelope.non_ascii_address:
        return f"the address {address}"
    if content.isascii():
        return ""
    header, _, _ = content.partition(b"\r\n\r\n")
    return "" if header.isascii() else "a header with letters outside ASCII"


def _too_large(size: int, extensions: Extensions) -> Unfit | None:
    limit = extensions.size_limit
    if limit is None or size <= limit:
        return None
    return Unfit(
        f"takes messages of up to {limit:,} octets, and this one has {size:,}; nothing was sent."
        f" Its EHLO reply said: {extensions.line('SIZE')}",
        MESSAGE_TOO_LARGE,
    )


def _needs_smtputf8(envelope: Envelope, content: bytes, extensions: Extensions) -> Unfit | None:
    reason = smtputf8_reason(envelope, content)
    if not reason or "smtputf8" in extensions:
        return None
    return Unfit(f"cannot take {reason}: it offers no SMTPUTF8; nothing was sent", NON_ASCII_NOT_SUPPORTED)


def _needs_8bitmime(content: bytes, extensions: Extensions) -> Unfit | None:
    # RFC 6531 section 3.1 asks every server with SMTPUTF8 to have 8BITMIME, too; not all say so.
    if content.isascii() or "8bitmime" in extensions or "smtputf8" in extensions:
        return None
    text = "takes only 7-bit messages: it offers no 8BITMIME, and this message has 8-bit octets; nothing was sent"
    return Unfit(text, CONVERSION_NOT_SUPPORTED)
