"""The delivery note in the conversation: written in the transaction that learns of the failure.

Rule: a delivery has at most one open note. What settles the matter closes it; what makes it worse writes a
new one at the end of the conversation, where people look.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Case, Q, When
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.conversations.actions import add_part, mark_changed, set_state
from telltale.conversations.models import Conversation, Part
from telltale.delivery.models import Delivery, DeliveryNote, OutgoingMessage, Report

GRAVEST_FIRST = [
    DeliveryNote.Kind.FAILED,
    DeliveryNote.Kind.UNCERTAIN,
    DeliveryNote.Kind.HELD,
    DeliveryNote.Kind.DELAYED,
]
_GRAVITY = Case(*(When(kind=kind, then=place) for place, kind in enumerate(GRAVEST_FIRST)))
QUIET = (DeliveryNote.Kind.DELAYED, DeliveryNote.Kind.HELD)  # nothing has gone wrong for good


def write_note(
    conversation: Conversation,
    delivery: Delivery,
    report: Report | None,
    kind: DeliveryNote.Kind,
    *,
    why: str,
    attention_at: datetime | None = None,
    gave_up: bool = False,
) -> DeliveryNote:
    """Tell the agents, in short `why`. What is known already is brought up to date; all else is a new note.

    What went wrong asks for attention at once; a delay or a hold from `attention_at` on, and None is never.
    """
    note = open_note(delivery)
    needs_attention = kind not in QUIET or (attention_at is not None and attention_at <= timezone.now())
    if note and note.kind == kind and kind in QUIET:
        note.report = report
        note.needs_attention = note.needs_attention or needs_attention
        note.attention_at = attention_at
        note.save()
        mark_changed(conversation, note.part_id)
        return note
    if note:
        _close(note, DeliveryNote.Closed.OVERTAKEN, conversation=conversation)
    part = add_part(conversation, Part.Kind.DELIVERY_NOTE, body=_in_short(delivery, why))
    if kind not in QUIET:
        _reopen(conversation)
    return DeliveryNote.objects.create(
        part=part,
        delivery=delivery,
        report=report,
        kind=kind,
        needs_attention=needs_attention,
        attention_at=attention_at,
        gave_up=gave_up,
    )


def give_words(conversation: Conversation, delivery: Delivery, report: Report) -> None:
    """A second report of one failure: the note shows it where the first had no words of a mail server."""
    note = open_note(delivery)
    if note and note.report and _says_less(note.report, report):
        note.report = report
        note.save()
        mark_changed(conversation, note.part_id)


def _says_less(report: Report, than: Report) -> bool:
    by_service = report.source == Report.Source.SERVICE and report.diagnostic_type != "smtp"
    return not report.diagnostic_text or (by_service and than.diagnostic_type == "smtp")


def _in_short(delivery: Delivery, why: str) -> str:
    """What the list says behind "Not delivered to": the address and why."""
    return f"{delivery.recipient}: {why[:1].lower()}{why[1:]}"


def open_note(delivery: Delivery) -> DeliveryNote | None:
    return DeliveryNote.objects.filter(delivery=delivery, closed_at=None).first()


def close_note(
    delivery: Delivery,
    how: DeliveryNote.Closed,
    *,
    conversation: Conversation,
    agent: Agent | None = None,
) -> None:
    """Settle the open note of this delivery, if there is one."""
    note = open_note(delivery)
    if note:
        _close(note, how, conversation=conversation, agent=agent)


def _close(
    note: DeliveryNote, how: DeliveryNote.Closed, *, conversation: Conversation, agent: Agent | None = None
) -> None:
    note.closed_at = timezone.now()
    note.closed_how = how
    note.closed_by = agent
    note.save()
    mark_changed(conversation, note.part_id)


def mark_reply_changed(conversation: Conversation, message: OutgoingMessage) -> None:
    """Let the pages fetch the reply again, and its open notes: each says what became of the other recipients."""
    open_notes = DeliveryNote.objects.filter(delivery__message=message, closed_at=None)
    changed = conversation.parts.filter(Q(pk=message.part_id) | Q(pk__in=open_notes.values("pk")))
    changed.update(version=conversation.version)


def refresh_alert(conversation: Conversation) -> None:
    """What the list says of this conversation: the gravest of its open notes, the newest of these."""
    notes = DeliveryNote.objects.filter(part__conversation=conversation, closed_at=None)
    note = notes.select_related("part", "delivery").order_by(_GRAVITY, "-pk").first()
    conversation.alert = note.kind if note else ""
    conversation.alert_text = note.part.body if note else ""
    conversation.alert_next_try_at = _next_try(note)
    conversation.save(update_fields=["alert", "alert_text", "alert_next_try_at"])


def _next_try(note: DeliveryNote | None) -> datetime | None:
    return note.delivery.next_attempt_at if note and note.kind == DeliveryNote.Kind.DELAYED else None


def _reopen(conversation: Conversation) -> None:
    if conversation.state != Conversation.State.OPEN and conversation.mailbox.reopen_on_failure:
        set_state(conversation, Conversation.State.OPEN)
        add_part(
            conversation, Part.Kind.EVENT, body="The conversation was opened again: a reply did not arrive"
        )
