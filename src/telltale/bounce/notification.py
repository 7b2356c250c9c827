"""Reads what Amazon SES tells by mail: a topic of SNS that a mailbox has subscribed to sends JSON.

docs.aws.amazon.com/ses, "Amazon SNS notification contents": notificationType, bounce, complaint, delivery.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from telltale.bounce.dialects.entries import report_of
from telltale.bounce.finding import Finding, kind_of
from telltale.bounce.heard import Heard, status_in
from telltale.bounce.notice import Notice
from telltale.bounce.returned import Kind
from telltale.mail.addresses import typed
from telltale.mail.decoding import without_surrogates
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.mail.status import EnhancedStatus

MOST_RECIPIENTS = 1_000
_TYPES = ("notificationType", "eventType")


def notification(notice: Notice) -> Finding | None:
    """The notification that this mail holds, or None."""
    if not notice.whole_text.lstrip().startswith("{"):
        return None
    event = _event(notice.notification)
    kind = next((str(event[name]) for name in _TYPES if name in event), "")
    reader = _READERS.get(kind)
    if reader is None:
        return None
    reports = tuple(reader(event))[:MOST_RECIPIENTS]
    evidence = (f"Amazon SES: {kind}",)
    return Finding(Kind.COMPLAINT if kind == "Complaint" else kind_of(reports), evidence, reports)


def _event(text: str) -> dict[str, Any]:
    """The JSON of the text; SNS may wrap it as a string into JSON of its own, and adds a footer in words."""
    text = text.replace("!\n ", "")  # Sendmail cuts lines of 1,000 octets so
    found = _object(text[text.find("{") :])
    inner = found.get("Message")
    return _object(inner) if isinstance(inner, str) else found


def _object(text: str) -> dict[str, Any]:
    try:
        found, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _bounced(event: dict[str, Any]) -> Iterator[RecipientReport]:
    for recipient in _list(event, "bounce", "bouncedRecipients"):
        kind, text = typed(_text(recipient, "diagnosticCode"))
        status = EnhancedStatus.parse(_text(recipient, "status")) or status_in(text)
        action = Action.DELAYED if recipient.get("action") == "delayed" else Action.FAILED
        said = Heard(Diagnostic(kind if text else "", text), status)
        yield report_of(_text(recipient, "emailAddress"), said, action)


def _complained(event: dict[str, Any]) -> Iterator[RecipientReport]:
    for recipient in _list(event, "complaint", "complainedRecipients"):
        yield RecipientReport(_text(recipient, "emailAddress"), Action.DELIVERED)


def _taken(event: dict[str, Any]) -> Iterator[RecipientReport]:
    """What Amazon calls a delivery: the recipient's mail server took it."""
    delivery = event.get("delivery")
    recipients = delivery.get("recipients") if isinstance(delivery, dict) else None
    answer = _text(delivery, "smtpResponse") if isinstance(delivery, dict) else ""
    for recipient in recipients if isinstance(recipients, list) else []:
        yield RecipientReport(
            without_surrogates(str(recipient)),
            Action.RELAYED,
            diagnostic_code=Diagnostic("smtp" if answer else "", answer),
        )


def _delayed(event: dict[str, Any]) -> Iterator[RecipientReport]:
    for recipient in _list(event, "deliveryDelay", "delayedRecipients"):
        text = typed(_text(recipient, "diagnosticCode"))[1]
        said = Heard(
            Diagnostic("smtp" if text else "", text), EnhancedStatus.parse(_text(recipient, "status"))
        )
        yield report_of(_text(recipient, "emailAddress"), said, Action.DELAYED)


def _list(event: dict[str, Any], name: str, of_what: str) -> list[dict[str, Any]]:
    about = event.get(name)
    found = about.get(of_what) if isinstance(about, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(about: dict[str, Any], name: str) -> str:
    return without_surrogates(str(about.get(name, "")))


_READERS = {"Bounce": _bounced, "Complaint": _complained, "Delivery": _taken, "DeliveryDelay": _delayed}
