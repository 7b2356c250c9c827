"""What e-mail services tell of the mail they took: checked, kept, and only then said 200 to. It is read later.

Anymail knows how each service writes and signs its events. What an event is called there is its `kind` here.

Rule: one event that nobody can read does not take the others of its batch with it, and is kept.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from anymail.exceptions import AnymailInsecureWebhookWarning, AnymailNotSupportedWarning
from anymail.exceptions import AnymailWebhookValidationFailure as ValidationFailure
from anymail.signals import AnymailTrackingEvent, EventType
from anymail.webhooks.base import AnymailCoreWebhookView
from anymail.webhooks.brevo import BrevoTrackingWebhookView
from anymail.webhooks.mailgun import MailgunTrackingWebhookView
from anymail.webhooks.mailjet import MailjetTrackingWebhookView
from anymail.webhooks.mailtrap import MailtrapTrackingWebhookView
from anymail.webhooks.mandrill import MandrillCombinedWebhookView
from anymail.webhooks.postmark import PostmarkTrackingWebhookView
from anymail.webhooks.sendgrid import SendGridTrackingWebhookView
from anymail.webhooks.sparkpost import SparkPostTrackingWebhookView
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from telltale.channels.services import KEY
from telltale.conversations.fields import readable
from telltale.conversations.models import Relay, ServiceEvent
from telltale.events.bell import INBOUND, ring
from telltale.inbound.store import storable

# The address of the events is a secret of the service's, so there is no password beside it.
warnings.filterwarnings("ignore", category=AnymailInsecureWebhookWarning)
# Anymail's authors have no account at SendGrid any more.
warnings.filterwarnings("ignore", category=AnymailNotSupportedWarning)

MOST_OF_A_REASON = 255  # characters
NO_KEY = "none"
# They say nothing about whether a reply arrived.
NOT_KEPT = {EventType.OPENED, EventType.CLICKED, EventType.SUBSCRIBED, EventType.QUEUED, EventType.SENT}

# Anymail's view of each service, and what it calls the key that the service signs with ("" where it does not).
VIEWS: Mapping[str, tuple[type[AnymailCoreWebhookView], str]] = {
    "brevo": (BrevoTrackingWebhookView, ""),
    "mailgun": (MailgunTrackingWebhookView, "webhook_signing_key"),
    "mailjet": (MailjetTrackingWebhookView, ""),
    "mailtrap": (MailtrapTrackingWebhookView, "tracking_secret"),
    "mandrill": (MandrillCombinedWebhookView, "webhook_key"),
    "postmark": (PostmarkTrackingWebhookView, ""),
    "sendgrid": (SendGridTrackingWebhookView, "tracking_webhook_verification_key"),
    "sparkpost": (SparkPostTrackingWebhookView, ""),
}


_Fields = Mapping[str, Any]


class NotTakenError(Exception):
    """What came is no event of this service; the text says why."""


def can_check(service: str, key: str) -> bool:
    """Whether signatures can be checked with this text at all: it may be copied in part, or be something else."""
    try:
        _view(Relay(service=service, events_key=key))
    except Exception:  # each service's library has its own
        return False
    return True


def hear(relay: Relay, request: HttpRequest) -> None:
    """Keep what the service of this relay tells, and ring for whoever reads it.

    When this returns and the transaction is committed, nothing of it can be lost. Told again, it is known.
    Raises NotTakenError where the signature does not hold or nothing can be taken apart, RequestDataTooBig where it
    is more than the desk takes at once, and UnreadableError where our own key for the signature cannot be decrypted.
    """
    told = _told(relay, request)
    faults = [event.description for event in told if isinstance(event, _Unread)]
    with transaction.atomic():
        kept = [_stored(event, relay) for event in told if event.event_type not in NOT_KEPT]
        ServiceEvent.objects.bulk_create(kept, ignore_conflicts=True)
        Relay.objects.filter(pk=relay.pk).update(
            events_heard_at=timezone.now(), events_fault=faults[0] if faults else ""
        )
        ring(INBOUND)


def note_fault(relay: Relay, fault: str) -> None:
    """Let an admin see why the service's events are not taken."""
    Relay.objects.filter(pk=relay.pk).update(events_fault=storable(fault)[:MOST_OF_A_REASON])


class _Unread(AnymailTrackingEvent):  # type: ignore[misc]  # comes without types
    """An event that could not be taken apart."""

    def __init__(self, raw: Any, error: Exception) -> None:
        fault = storable(f"{type(error).__name__}: {error}")[:MOST_OF_A_REASON]
        super().__init__(event_type=EventType.UNKNOWN, esp_event=raw, description=fault)


def _told(relay: Relay, request: HttpRequest) -> list[AnymailTrackingEvent]:
    view = _view(relay)
    parse = view.esp_to_anymail_event

    def parse_safely(*told: Any) -> AnymailTrackingEvent:
        try:
            return parse(*told)
        except Exception as error:
            return _Unread(told[-1] if relay.service == "sparkpost" else told[0], error)

    view.esp_to_anymail_event = parse_safely
    try:
        if relay.events_key:
            view.run_validators(request)
        return list(view.parse_events(request))
    except RequestDataTooBig:
        raise
    except ValidationFailure as error:
        raise NotTakenError(str(error)) from error
    except Exception as error:
        raise NotTakenError(
            f"These are no events of this service: {type(error).__name__}: {error}"
        ) from error


def _view(relay: Relay) -> Any:
    view, name_of_key = VIEWS[relay.service]
    key = readable(relay.events_key)
    if relay.service == "mailgun":
        key = key or NO_KEY  # its view will not be made without one; nothing is checked with this
    return view(**{name_of_key: key} if name_of_key else {})


def _stored(event: AnymailTrackingEvent, relay: Relay) -> ServiceEvent:
    raw = event.esp_event
    given = raw.dict() if hasattr(raw, "dict") else raw  # Mailgun's events of old are forms
    told = json.dumps(given, ensure_ascii=False, sort_keys=True, default=str)
    # Not all services number their events, and none says that a number is not another kind's too.
    identity = f"{event.event_type} {event.event_id or told}"
    more = _MORE[relay.service](given if isinstance(given, dict) else {})
    metadata = event.metadata if isinstance(event.metadata, dict) else {}
    return ServiceEvent(
        relay=relay,
        service=relay.service,
        key=sha256(identity.encode("utf-8", "backslashreplace")).hexdigest(),
        kind=event.event_type,
        reference=_text(metadata.get(KEY)),
        message_id=_text(event.message_id),
        recipient=_text(event.recipient),
        words=_text(more.words or event.mta_response),
        description=_text(event.description or more.description),
        classification=_text(more.classification),
        status=_text(more.status),
        remote_mta=_text(more.remote_mta),
        raw=_text(told),
        happened_at=event.timestamp,
    )


def _text(value: Any) -> str:
    return "" if value is None else storable(str(value))


@dataclass(frozen=True, slots=True)
class _More:
    """What Anymail leaves in an event as it came."""

    words: str = ""  # of the recipient's mail server
    description: str = ""  # the service's own
    classification: str = ""  # as bounce/data/services.toml has it
    status: str = ""
    remote_mta: str = ""


def _of_brevo(event: _Fields) -> _More:
    return _More(classification=_at(event, "event"))


def _of_mailgun(event: _Fields) -> _More:
    status = "event-data", "delivery-status"
    # It gives the code of the reply and the rest of it apart. Beyond 599 its codes are of its own making.
    code, message = _at(event, *status, "code"), _at(event, *status, "message")
    is_apart = len(code) == 3 and "200" <= code <= "599" and not message.startswith(code)
    return _More(
        words=f"{code} {message}" if message and is_apart else message,
        classification=_at(event, "event-data", "reason"),
        status=_at(event, *status, "enhanced-code"),
        remote_mta=_at(event, *status, "mx-host"),
    )


def _of_mailjet(event: _Fields) -> _More:
    about, error = _at(event, "error_related_to"), _at(event, "error")
    return _More(
        words=_at(event, "smtp_reply") or _at(event, "comment"),
        description=f"{about}: {error}" if error else "",
        classification=f"{about}; {error}",
    )


def _of_mailtrap(event: _Fields) -> _More:
    return _More(description=_at(event, "reason"), classification=_at(event, "event"))


def _of_mandrill(event: _Fields) -> _More:
    is_refusal = _at(event, "event") == "reject"
    classification = "reject" if is_refusal else _at(event, "msg", "bounce_description")
    return _More(description=classification, classification=classification)


def _of_postmark(event: _Fields) -> _More:
    classification = _at(event, "Type") or _at(event, "SuppressionReason")
    return _More(description=classification, classification=classification)


def _of_sendgrid(event: _Fields) -> _More:
    if _at(event, "event") == "dropped":
        reason = _at(event, "reason")
        return _More(description=reason, classification=f"dropped; {reason}", status=_at(event, "status"))
    classification = f"{_at(event, 'type')}; {_at(event, 'bounce_classification')}"
    return _More(classification=classification, status=_at(event, "status"))


def _of_sparkpost(event: _Fields) -> _More:
    kinds = event.get("msys")
    about = next(iter(kinds.values()), None) if isinstance(kinds, dict) else None
    return _More(description=_at(about, "reason"), classification=_at(about, "bounce_class"))


_MORE: Mapping[str, Callable[[_Fields], _More]] = {
    "brevo": _of_brevo,
    "mailgun": _of_mailgun,
    "mailjet": _of_mailjet,
    "mailtrap": _of_mailtrap,
    "mandrill": _of_mandrill,
    "postmark": _of_postmark,
    "sendgrid": _of_sendgrid,
    "sparkpost": _of_sparkpost,
}


def _at(event: Any, *names: str) -> str:
    """What stands there, as text; "" where nothing does."""
    for name in names:
        event = event.get(name) if isinstance(event, dict) else None
    return "" if event is None or isinstance(event, dict | list) else str(event)
