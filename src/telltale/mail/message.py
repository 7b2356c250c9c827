"""Building a mail: RFC 5322, MIME."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.headerregistry import Address, AddressHeader, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, Policy
from email.utils import format_datetime

import idna

MOST_REFERENCES = 20  # the first and the newest; RFC 5322 section 3.6.4 lets a client shorten the list
LONGEST_ID = 250  # octets; people have met 200
# RFC 2045 section 6.7 and RFC 2047 section 2: encoded lines have 76 octets at most, and `email` writes 78.
LONGEST_LINE = 76


class SubjectHeader(UnstructuredHeader, BaseHeader):
    """The subject, whole: where `email` folds encoded words itself, it may lose blanks or cut a letter in two.

    CPython issue 92081; its older `Header` does it well.
    """

    def fold(self, *, policy: Policy) -> str:
        if self.isascii():
            return super().fold(policy=policy)
        return f"{self.name}: {_encoded(self, policy)}{policy.linesep}"


class AddressesHeader(AddressHeader, BaseHeader):  # type: ignore[misc]  # so does the registry
    """Addresses, each on a line of its own; encoded words as above."""

    def fold(self, *, policy: Policy) -> str:
        mailboxes = f",{policy.linesep} ".join(_mailbox(address, policy) for address in self.addresses)
        return f"{self.name}: {mailboxes}{policy.linesep}"


class MessageIdsHeader(UnstructuredHeader, BaseHeader):
    """Message ids, each whole and on a line of its own.

    `email` makes encoded words of an id that is longer than a line, and then no reader finds its thread.
    """

    def fold(self, *, policy: Policy) -> str:
        ids = f"{policy.linesep} ".join(self.split())
        return f"{self.name}: {ids}{policy.linesep}"


def _encoded(words: str, policy: Policy) -> str:
    header = Header(words, "utf-8", header_name="Subject", maxlinelen=LONGEST_LINE)
    return header.encode(linesep=policy.linesep)


def _mailbox(address: Address, policy: Policy) -> str:
    if address.display_name.isascii():
        return str(address)
    return f"{_encoded(address.display_name, policy)}{policy.linesep} <{address.addr_spec}>"


_MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")
_TYPE = re.compile(r"(?!message/|multipart/)([\w.+-]+)/([\w.+-]+)", re.ASCII | re.IGNORECASE)
_registry = HeaderRegistry()
_registry.map_to_type("subject", SubjectHeader)
for _name in ("from", "to", "cc", "reply-to"):
    _registry.map_to_type(_name, AddressesHeader)
for _name in ("message-id", "in-reply-to", "references"):
    _registry.map_to_type(_name, MessageIdsHeader)
_POLICY = SMTP.clone(header_factory=_registry, max_line_length=LONGEST_LINE)


@dataclass(frozen=True, slots=True)
class AttachedFile:
    name: str
    content_type: str  # "image/png"
    content: bytes


@dataclass(frozen=True, slots=True)
class InlineImage:
    """A picture that stands in the HTML as <img src="cid:…">: RFC 2387 and RFC 2392."""

    name: str
    content_type: str  # "image/png"
    content: bytes
    content_id: str  # "logo@lamp.example", without angle brackets


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
    html: str = ""  # the same in HTML, for readers that show it; "" for a mail of plain text
    inline: Sequence[InlineImage] = ()  # what the HTML shows
    reply_to: str = ""  # an address; "" where answers go to the sender
    in_reply_to: str = ""
    references: Sequence[str] = ()
    auto_submitted: str = (
        ""  # "auto-generated" or "auto-replied" where no person wrote it, RFC 3834 section 5
    )
    attachments: Sequence[AttachedFile] = field(default=())


def new_message_id(domain: str) -> str:
    """A Message-ID that nobody else has, RFC 5322 section 3.6.4."""
    return f"<{uuid.uuid4()}@{_in_ascii(domain)}>"


def compose(mail: Mail) -> bytes:
    """The mail as octets with CRLF line ends, all of them 7-bit, so that every server can carry it.

    Only where an address has other letters than ASCII before its @, header fields are in UTF-8: RFC 6532.
    Raises ValueError where a header would hold a line break.
    """
    message = EmailMessage(policy=_policy_for(mail))
    _set(message, "From", _addresses([mail.sender]))
    _set(message, "To", _addresses(mail.to))
    _set(message, "Cc", _addresses(mail.cc))
    _set(message, "Reply-To", _addresses([(mail.sender[0], mail.reply_to)] if mail.reply_to else []))
    _set(message, "Subject", mail.subject)
    _set(message, "Date", format_datetime(mail.date))
    _set(message, "Message-ID", mail.message_id)
    _set(message, "In-Reply-To", " ".join(_sendable([mail.in_reply_to])))
    _set(message, "References", " ".join(_shortened(_sendable(mail.references))))
    _set(message, "Auto-Submitted", mail.auto_submitted)
    _set(message, "X-Auto-Response-Suppress", "All" if mail.auto_submitted else "")  # Exchange knows this one
    message.set_content(mail.text, cte="quoted-printable")
    if mail.html:
        _add_html(message, mail)
    for attached in mail.attachments:
        maintype, subtype = _type_of(attached)
        message.add_attachment(
            attached.content, maintype=maintype, subtype=subtype, filename=attached.name or "attachment"
        )
    return message.as_bytes()


def _add_html(message: EmailMessage, mail: Mail) -> None:
    """The better alternative is the last one, and its pictures are related to it alone: RFC 2046 section 5.1.4."""
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    [_, html] = message.iter_parts()
    for image in mail.inline:
        maintype, subtype = _type_of(image)
        html.add_related(
            image.content,
            maintype=maintype,
            subtype=subtype,
            cid=f"<{image.content_id}>",
            filename=image.name or "image",
            disposition="inline",
        )


def reply_subject(subject: str) -> str:
    """The subject of an answer: "Re: " once, RFC 5322 section 3.6.5."""
    return subject if subject.lower().startswith("re:") else f"Re: {subject}".rstrip()


def _set(message: EmailMessage, name: str, value: str | list[Address]) -> None:
    if value:
        message[name] = value


def _policy_for(mail: Mail) -> EmailPolicy[EmailMessage]:
    addresses = [mail.reply_to, *(address for _, address in [mail.sender, *mail.to, *mail.cc])]
    return _POLICY.clone(utf8=not all(address.rpartition("@")[0].isascii() for address in addresses))


def _addresses(pairs: Sequence[tuple[str, str]]) -> list[Address]:
    return [_address(name, address) for name, address in pairs]


def _address(name: str, address: str) -> Address:
    local_part, _, domain = address.rpartition("@")
    domain = _in_ascii(domain)
    if local_part.isascii():
        return Address(display_name=name, addr_spec=f"{local_part}@{domain}")
    return Address(display_name=name, username=local_part, domain=domain)  # `addr_spec` takes ASCII only


def _in_ascii(domain: str) -> str:
    """The domain in A-labels, RFC 5890: as anything else, servers without SMTPUTF8 could not read it."""
    return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()


def _type_of(attached: AttachedFile | InlineImage) -> tuple[str, str]:
    """A type that carries base64; RFC 2046 section 5 forbids that to a whole mail, which some then cut up."""
    found = _TYPE.fullmatch(attached.content_type)
    return (found[1], found[2]) if found else ("application", "octet-stream")


def _sendable(ids: Sequence[str]) -> list[str]:
    """The ids that can stand in a header as they are: others' mails bring the strangest."""
    return [one for one in ids if len(one) <= LONGEST_ID and _MESSAGE_ID.fullmatch(one)]


def _shortened(references: Sequence[str]) -> Sequence[str]:
    if len(references) <= MOST_REFERENCES:
        return references
    return [references[0], *references[-MOST_REFERENCES + 1 :]]
