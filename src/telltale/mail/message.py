"""Building a mail: RFC 5322, MIME."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

MOST_REFERENCES = 20  # the first and the newest; RFC 5322 section 3.6.4 lets a client shorten the list


@dataclass(frozen=True, slots=True)
class AttachedFile:
    name: str
    content_type: str  # "image/png"
    content: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """What a mail says. Addresses are (display name, address); Bcc is not here: it stands in no header."""

    sender: tuple[str, str]
    to: Sequence[tuple[str, str]]
    cc: Sequence[tuple[str, str]]
    subject: str
    text: str
    message_id: str  # with its angle brackets
    date: datetime
    in_reply_to: str = ""
    references: Sequence[str] = ()
    attachments: Sequence[AttachedFile] = field(default=())


def new_message_id(domain: str) -> str:
    """A Message-ID that nobody else has, RFC 5322 section 3.6.4."""
    return f"<{uuid.uuid4()}@{domain}>"


def compose(mail: Mail) -> bytes:
    """The mail as octets with CRLF line ends, all of them 7-bit, so that every server can carry it.

    Raises ValueError where a header would hold a line break.
    """
    message = EmailMessage(policy=SMTP)
    _set(message, "From", _addresses([mail.sender]))
    _set(message, "To", _addresses(mail.to))
    _set(message, "Cc", _addresses(mail.cc))
    _set(message, "Subject", mail.subject)
    _set(message, "Date", format_datetime(mail.date))
    _set(message, "Message-ID", mail.message_id)
    _set(message, "In-Reply-To", mail.in_reply_to)
    _set(message, "References", " ".join(_shortened(mail.references)))
    message.set_content(mail.text, cte="quoted-printable")
    for attached in mail.attachments:
        maintype, _, subtype = attached.content_type.partition("/")
        message.add_attachment(attached.content, maintype=maintype, subtype=subtype, filename=attached.name)
    return message.as_bytes()


def reply_subject(subject: str) -> str:
    """The subject of an answer: "Re: " once, RFC 5322 section 3.6.5."""
    return subject if subject.lower().startswith("re:") else f"Re: {subject}".rstrip()


def _set(message: EmailMessage, name: str, value: str | list[Address]) -> None:
    if value:
        message[name] = value


def _addresses(pairs: Sequence[tuple[str, str]]) -> list[Address]:
    return [Address(display_name=name, addr_spec=address) for name, address in pairs]


def _shortened(references: Sequence[str]) -> Sequence[str]:
    if len(references) <= MOST_REFERENCES:
        return references
    return [references[0], *references[-MOST_REFERENCES + 1 :]]
