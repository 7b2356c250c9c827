"""Mail that e-mail services take for a mailbox and hand over by HTTP: kept as it came, and only then said 200 to.

It is wanted raw, as each of these services can send it: taken apart and put together again, a mail is another one, and
what was odd about a bounce is gone. So the services' forms are opened here; Anymail checks their signatures.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Any

from anymail.exceptions import AnymailWebhookValidationFailure as ValidationFailure
from anymail.webhooks.mailgun import MailgunInboundWebhookView
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, QueryDict

from telltale.bounce import read
from telltale.conversations.fields import readable
from telltale.conversations.models import Relay
from telltale.events.bell import INBOUND, ring
from telltale.inbound.service_events import NotTakenError
from telltale.inbound.store import came_to, is_kept, keep, refusal_for

# How each is told to send the mail raw, in the words of its settings.
HOW = {
    "mailgun": "Receiving, Routes: forward to this address",
    "mandrill": "Inbound, your domain, Routes: webhook",
    "postmark": "Inbound stream, Settings: webhook, with “Include raw email content in JSON payload”",
    "sendgrid": "Settings, Inbound Parse: destination, with “POST the raw, full MIME message”",
    "sparkpost": "Inbound relay webhook",
}


@dataclass(frozen=True, slots=True)
class Handed:
    """One mail, with what the service says of its envelope."""

    content: bytes
    recipient: str
    mail_from: str


def take(relay: Relay, request: HttpRequest) -> int:
    """Keep what the service hands over, and ring for whoever reads it. How many were new.

    Raises NotTakenError where it is no mail of this service or its signature does not hold, RequestDataTooBig where
    it is larger than the desk takes, and UnreadableError where our key for the signature cannot be decrypted.
    """
    handed = list(_handed(relay, request))
    with transaction.atomic():
        new = sum(_keep(mail, relay) for mail in handed)
        Relay.objects.filter(pk=relay.pk).update(events_fault="")
        ring(INBOUND)
    return new


def _keep(mail: Handed, relay: Relay) -> bool:
    """Whether it was not kept before. What is for nobody here came for the mailbox all the same: no 550 is possible."""
    recipient = mail.recipient
    if not recipient or refusal_for(recipient):
        recipient = came_to(read(mail.content), otherwise=relay.mailbox.address)
    if is_kept(mail.content, came_to=recipient):
        return False
    keep(mail.content, door="service", mail_from=mail.mail_from, rcpt_to=recipient, peer=relay.service)
    return True


def _handed(relay: Relay, request: HttpRequest) -> Iterator[Handed]:
    fields = _fields(request)
    if relay.service == "mailgun" and relay.events_key:
        _check_mailgun(request, fields, readable(relay.events_key))
    try:
        yield from _OF[relay.service](fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotTakenError(
            f"This is no raw mail of this service: {type(error).__name__}: {error}. Set it to: {HOW[relay.service]}."
        ) from error


_Fields = Mapping[str, Any]


def _fields(request: HttpRequest) -> _Fields:
    """What was posted, as JSON or as a form; Django's own limit for these is far below what a mail may have."""
    most = settings.MAX_MESSAGE_SIZE * 3  # twice what a mail may have, in base64
    body = request.read(most + 1)
    if len(body) > most:
        raise RequestDataTooBig
    kind = request.content_type
    if kind == "multipart/form-data":
        return _form(request.headers.get("Content-Type", ""), body)
    if kind == "application/x-www-form-urlencoded":
        return QueryDict(body.decode("ascii", "replace")).dict()
    try:
        posted = json.loads(body)
    except ValueError as error:
        raise NotTakenError(f"This is no JSON: {error}") from error
    return {"json": posted}


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    """The fields of a form as octets: RFC 7578. Mail in them may have any octets."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    fields: dict[str, bytes] = {}
    for part in form.get_payload() if form.is_multipart() else []:
        if isinstance(part, Message):
            name = part.get_param("name", header="Content-Disposition")
            octets = part.get_payload(decode=True)
            fields[str(name)] = octets if isinstance(octets, bytes) else b""
    return fields


def _check_mailgun(request: HttpRequest, fields: _Fields, key: str) -> None:
    form = QueryDict(mutable=True)
    for name in ("timestamp", "token", "signature"):
        form[name] = _text(fields.get(name))
    request.POST = form  # type: ignore[assignment]  # where Anymail looks
    try:
        MailgunInboundWebhookView(webhook_signing_key=key).run_validators(request)
    except ValidationFailure as error:
        raise NotTakenError(str(error)) from error


def _of_mailgun(fields: _Fields) -> Iterator[Handed]:
    yield Handed(_octets(fields["body-mime"]), _text(fields.get("recipient")), _text(fields.get("sender")))


def _of_sendgrid(fields: _Fields) -> Iterator[Handed]:
    envelope = json.loads(_text(fields["envelope"]))
    for recipient in envelope["to"]:
        yield Handed(_octets(fields["email"]), str(recipient), str(envelope.get("from") or ""))


def _of_mandrill(fields: _Fields) -> Iterator[Handed]:
    for event in json.loads(_text(fields["mandrill_events"])):
        if event.get("event") == "inbound":
            yield Handed(_octets(event["msg"]["raw_msg"]), str(event["msg"].get("email") or ""), "")


def _of_postmark(fields: _Fields) -> Iterator[Handed]:
    mail = fields["json"]
    yield Handed(
        _octets(mail["RawEmail"]), str(mail.get("OriginalRecipient") or ""), str(mail.get("From") or "")
    )


def _of_sparkpost(fields: _Fields) -> Iterator[Handed]:
    if not isinstance(fields["json"], list):
        raise TypeError("a list is expected")
    for one in fields["json"]:
        mail = one["msys"].get("relay_message")
        if mail:
            content = mail["content"]
            raw = content["email_rfc822"]
            octets = b64decode(raw) if content.get("email_rfc822_is_base64") else _octets(raw)
            yield Handed(octets, str(mail.get("rcpt_to") or ""), str(mail.get("msg_from") or ""))


_OF: Mapping[str, Callable[[_Fields], Iterator[Handed]]] = {
    "mailgun": _of_mailgun,
    "mandrill": _of_mandrill,
    "postmark": _of_postmark,
    "sendgrid": _of_sendgrid,
    "sparkpost": _of_sparkpost,
}


def _octets(given: str | bytes) -> bytes:
    octets = given if isinstance(given, bytes) else given.encode("utf-8", "surrogateescape")
    if not octets.strip():
        raise ValueError("the mail is empty")
    return octets


def _text(given: str | bytes | None) -> str:
    return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given or "")
