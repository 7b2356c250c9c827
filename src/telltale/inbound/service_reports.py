"""Reads the events of e-mail services that are kept: which delivery each is about, and what follows.

Trust: only the service knows the address that its events come to. Which delivery one is about is proven by the
reference that we signed. What names our Message-ID instead is "reported, not proven". An account may be used for
other mail too, so an event that names neither changes nothing; where it names no mail at all, it is told.

Rule: "delivered" in the words of a service means that the recipient's mail server took the mail: RFC 3464's
"relayed", which is shown as accepted.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from anymail.signals import EventType
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower
from django.db.models.lookups import Exact
from django.utils import timezone

from telltale.channels.services import SERVICES
from telltale.conversations.dkim_keys import ascii_domain
from telltale.conversations.models import ServiceEvent
from telltale.delivery.models import Delivery
from telltale.delivery.reports import record_heard
from telltale.inbound.reports import MOST_REASON, remember_complaint, tell
from telltale.mail.addresses import typed
from telltale.mail.report import SERVICE_EVENT, Action, Diagnostic, RecipientReport
from telltale.mail.return_path import ReturnPath, verify
from telltale.mail.status import EnhancedStatus

Fate = ServiceEvent.Fate

ACTIONS = {
    EventType.BOUNCED: Action.FAILED,
    EventType.REJECTED: Action.FAILED,
    EventType.FAILED: Action.FAILED,
    EventType.DEFERRED: Action.DELAYED,
    EventType.DELIVERED: Action.RELAYED,
}
BY_THE_SERVICE = {EventType.REJECTED, EventType.FAILED}  # it did not even try
CAME = {
    EventType.COMPLAINED: "{service} passes on a complaint: this reply was called spam",
    EventType.AUTORESPONDED: "{service} took an automatic answer to this reply",
    EventType.UNSUBSCRIBED: "{service} was asked to send no more mail to this address",
}
SOMETHING = "{service} told something about this reply that this desk cannot read"
LATE = timedelta(days=7)  # a bounce that comes after that is about no mail that anybody waits for
MOST_REFERENCES = 20  # in one event
_REFERENCE = re.compile(r"(?<![\w-])b-[0-9a-z]{1,13}-[0-9a-z]{1,13}-[0-9a-z]{16}(?![\w-])")
_REPLY = re.compile(r"[2-5]\d\d(?!\d)")

logger = logging.getLogger(__name__)


@transaction.atomic
def read_next() -> bool:
    """Read one event. False where none waits. A crash in the middle leaves it waiting."""
    waiting = ServiceEvent.objects.filter(fate=Fate.WAITING).select_for_update(skip_locked=True, of=("self",))
    event = waiting.select_related("relay").first()
    if event is None:
        return False
    event.fate, event.fate_reason = _take_safely(event)
    event.save(update_fields=["fate", "fate_reason"])
    return True


def _take_safely(event: ServiceEvent) -> tuple[str, str]:
    """One event that we fail at must not stop all that come behind it, nor be forgotten."""
    try:
        with transaction.atomic():
            return _take(event)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the event waits
    except Exception as error:
        logger.exception("could not read the event %s", event.pk)
        if found := _found(event):
            _tell(found.delivery, SOMETHING, event)
        return Fate.QUARANTINED, f"our own fault: {type(error).__name__}: {error}"[:MOST_REASON]


def _take(event: ServiceEvent) -> tuple[str, str]:
    found = _found(event)
    if found is None:
        return _take_unnamed(event)
    delivery = found.delivery
    if event.recipient and _folded(event.recipient) != _folded(delivery.recipient):
        _tell(delivery, "{service} told something that does not fit this delivery", event)
        reason = f"is about {event.recipient}, not about {delivery.recipient}"
        return Fate.QUARANTINED, reason[:MOST_REASON]
    if event.kind not in ACTIONS:
        if event.kind == EventType.COMPLAINED:
            remember_complaint(delivery)
        _tell(delivery, CAME.get(event.kind, SOMETHING), event)
        return Fate.TOLD, f"delivery {delivery.pk}: {event.kind}"
    record_heard(delivery, _report(event, delivery), heard=event, proven=found.proven)
    return Fate.REPORT, f"delivery {delivery.pk}: {event.kind}"


def _take_unnamed(event: ServiceEvent) -> tuple[str, str]:
    """SendGrid names no mail in a bounce that came long after it: better told beside the newest than nowhere."""
    names_no_mail = not event.reference and not event.message_id
    delivery = _newest_to(event) if names_no_mail and ACTIONS.get(event.kind) == Action.FAILED else None
    if delivery is None:
        return Fate.QUARANTINED, "names no delivery of ours"
    _tell(delivery, "{service} could not deliver to this address, and does not say which mail", event)
    return Fate.TOLD, f"delivery {delivery.pk}: the newest to this address"


# Which delivery


@dataclass(frozen=True, slots=True)
class _Found:
    delivery: Delivery
    proven: bool


def _found(event: ServiceEvent) -> _Found | None:
    if delivery := _by_reference(event):
        return _Found(delivery, proven=True)
    delivery = _by_message_id(event)
    return _Found(delivery, proven=False) if delivery else None


def _by_reference(event: ServiceEvent) -> Delivery | None:
    """By the reference that the service gives back, or that stands anywhere else in what it told."""
    stated = [event.reference] if event.reference else []
    for reference in (stated + _REFERENCE.findall(event.raw.lower()))[:MOST_REFERENCES]:
        proof = verify(f"{reference}@", keys=settings.RETURN_PATH_KEYS, now=timezone.now())
        if isinstance(proof, ReturnPath):
            return _deliveries().filter(pk=proof.delivery_id).first()
    return None


def _by_message_id(event: ServiceEvent) -> Delivery | None:
    named = {event.message_id, f"<{event.message_id.strip('<>')}>"}
    same = _deliveries().filter(message__message_id__in=named) if event.message_id else _deliveries().none()
    return next((one for one in same if _folded(one.recipient) == _folded(event.recipient)), None)


def _newest_to(event: ServiceEvent) -> Delivery | None:
    """The newest mail of this relay's mailbox to this address, where there was one of late."""
    if event.relay is None or not event.recipient:
        return None
    late = _deliveries().filter(
        Exact(Lower("recipient"), Lower(Value(event.recipient))),  # by the index delivery_by_recipient
        mailbox_id=event.relay.mailbox_id,
        created_at__gte=timezone.now() - LATE,
    )
    return late.order_by("-pk").first()


def _deliveries() -> QuerySet[Delivery]:
    return Delivery.objects.select_related("message__part")


def _folded(address: str) -> str:
    """As addresses are compared: their domains in A-labels, and all in lower case."""
    local_part, _, domain = address.strip().rpartition("@")
    with suppress(UnicodeError):
        domain = ascii_domain(domain)
    return f"{local_part}@{domain}".lower()


# What it says


def _report(event: ServiceEvent, delivery: Delivery) -> RecipientReport:
    diagnostic = _diagnostic(event)
    service_speaks = diagnostic.type == f"x-{event.service}"
    fields = [(SERVICE_EVENT, f"{event.service}; {event.classification}")] if event.classification else []
    if event.description and event.description != diagnostic.text:
        fields.append(("Service-Description", event.description))
    return RecipientReport(
        final_recipient=event.recipient or delivery.recipient,
        action=ACTIONS[event.kind],
        status=EnhancedStatus.parse(event.status),
        diagnostic_code=diagnostic,
        remote_mta=_host(event) if service_speaks else event.remote_mta,
        other_fields=tuple(fields),
        by_own_relay=service_speaks and event.kind in BY_THE_SERVICE,
    )


def _diagnostic(event: ServiceEvent) -> Diagnostic:
    """The words, and whose they are: a reply of a mail server begins with its code, all else is the service's."""
    kind, text = typed(event.words)
    if _REPLY.match(text):
        return Diagnostic("smtp", text)
    text = text or event.description
    return Diagnostic(kind if kind not in ("", "smtp") else f"x-{event.service}", text)


def _host(event: ServiceEvent) -> str:
    return event.relay.host if event.relay else SERVICES[event.service].host


def _tell(delivery: Delivery, what: str, event: ServiceEvent) -> None:
    title = SERVICES[event.service].title
    about = event.words or event.description or event.classification or event.kind
    tell(delivery, what.format(service=title), about=about)
