"""A reply as a mail: written once, stored, and sent to each recipient as it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import partial

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.html import linebreaks, urlize

from telltale.conversations.models import Attachment, Conversation, Part
from telltale.delivery.models import Delivery, OutgoingMessage
from telltale.mail.message import AttachedFile, Mail, compose, reply_subject
from telltale.mail.reply_address import sign


@dataclass(frozen=True, slots=True)
class Recipient:
    role: Delivery.Role
    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2].lower()


def write_message(
    part: Part, recipients: Sequence[Recipient], *, message_id: str, date: datetime
) -> OutgoingMessage:
    """The mail of this part, stored as it will go out to each of them."""
    content = compose(_as_mail(part, recipients, message_id=message_id, date=date))
    message = OutgoingMessage(part=part, message_id=message_id, size=len(content))
    message.content.save("message.eml", ContentFile(content), save=False)
    message.save()
    return message


def write_again(message: OutgoingMessage, *, date: datetime) -> None:
    """The same mail with another date: it leaves at another time than was planned (RFC 5322 section 3.6.1)."""
    with message.content.open("rb") as file:
        header, blank, body = file.read().partition(b"\r\n\r\n")
    stale, line = str(message.content.name), b"Date: " + format_datetime(date).encode("ascii")
    content = re.sub(rb"(?m)^Date: [^\r\n]*", line, header, count=1) + blank + body
    message.content.save("message.eml", ContentFile(content), save=False)
    message.size = len(content)
    message.save()
    transaction.on_commit(partial(message.content.storage.delete, stale))


def _as_mail(part: Part, recipients: Sequence[Recipient], *, message_id: str, date: datetime) -> Mail:
    conversation = part.conversation
    earlier = list(
        conversation.parts.exclude(message_id="").exclude(pk=part.pk).values_list("message_id", flat=True)
    )
    mailbox = conversation.mailbox
    answered = conversation.parts.filter(kind=Part.Kind.CUSTOMER_MESSAGE).exists()
    return Mail(
        sender=(f"{part.agent.name}, {mailbox.name}" if part.agent else mailbox.name, mailbox.address),
        to=_named(recipients, Delivery.Role.TO),
        cc=_named(recipients, Delivery.Role.CC),
        subject=reply_subject(conversation.subject) if answered or earlier else conversation.subject,
        text=part.body,
        html=_as_html(part.body),
        reply_to=_reply_address(conversation),
        message_id=message_id,
        date=date,
        in_reply_to=earlier[-1] if earlier else "",
        references=earlier,
        auto_submitted="auto-replied" if part.kind == Part.Kind.ACKNOWLEDGEMENT else "",
        attachments=[_attached(attachment) for attachment in part.attachments.all()],
    )


def _reply_address(conversation: Conversation) -> str:
    """Where answers go, with the conversation in it; "" where that is the mailbox itself."""
    mailbox = conversation.mailbox
    if not mailbox.tagged_replies:
        return ""
    return sign(conversation.pk, mailbox=mailbox.address, key=settings.REPLY_ADDRESS_KEYS[0])


def _as_html(text: str) -> str:
    """The same words for readers that show HTML: lines that fit any window, links that can be clicked."""
    return f'<!doctype html>\n<html><body dir="auto">\n{linebreaks(urlize(text, autoescape=True))}\n</body></html>'


def _named(recipients: Sequence[Recipient], role: Delivery.Role) -> list[tuple[str, str]]:
    return [(recipient.name, recipient.address) for recipient in recipients if recipient.role == role]


def _attached(attachment: Attachment) -> AttachedFile:
    with attachment.file.open("rb") as file:
        return AttachedFile(attachment.name, attachment.content_type, file.read())
