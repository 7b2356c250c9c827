"""The parts of a conversation with all that a page shows of them, in a number of queries that does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from telltale.accounts.models import Agent
from telltale.conversations.models import Conversation, Part
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, OutgoingMessage, Report
from telltale.web.presentation import NoteView, note_view

SENT = (Part.Kind.REPLY, Part.Kind.ACKNOWLEDGEMENT)  # what has deliveries


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part, and what its note shows where it is one."""

    part: Part
    note: NoteView | None


def parts_for_page(conversation: Conversation, *, viewer: Agent, since: int = 0) -> list[ShownPart]:
    """The parts newer than version `since`, in their order.

    A part that came after this version of the conversation was read is left for the next time: shown now, it
    would be new a second time to a page that has this version.
    """
    newer = conversation.parts.filter(version__gt=since, first_version__lte=conversation.version)
    parts = list(
        newer.select_related("agent", "contact", "raw_mail").prefetch_related("attachments").order_by("id")
    )
    notes = _notes(parts)
    addresses = list(conversation.contact.addresses.all())
    return [
        ShownPart(part, note_view(notes[part.pk], viewer=viewer, addresses=addresses))
        if part.pk in notes
        else ShownPart(part, None)
        for part in parts
    ]


def _notes(parts: Sequence[Part]) -> dict[int, DeliveryNote]:
    """The delivery notes among these parts, by the part; and what became of each reply, loaded with it."""
    notes = _load_fates([part for part in parts if part.kind in SENT])
    alone = [part.pk for part in parts if part.kind == Part.Kind.DELIVERY_NOTE and part.pk not in notes]
    if alone:  # notes that changed while their replies did not
        replies = Part.objects.filter(messages__deliveries__notes__in=alone).select_related("agent")
        notes |= _load_fates(list(replies.distinct()))
    return notes


def _load_fates(replies: list[Part]) -> dict[int, DeliveryNote]:
    """Fetch the messages of these replies with deliveries, attempts, reports and notes. Returns the notes."""
    prefetch_related_objects(
        replies,
        Prefetch("messages", OutgoingMessage.objects.order_by("id")),
        Prefetch(
            "messages__deliveries", Delivery.objects.select_related("mailbox", "incident").order_by("id")
        ),
        Prefetch("messages__deliveries__attempts", Attempt.objects.order_by("number")),
        Prefetch("messages__deliveries__reports", _reports()),
        Prefetch("messages__deliveries__notes", _notes_with_reports()),
    )
    return {
        note.pk: note
        for reply in replies
        for message in reply.messages.all()
        for delivery in message.deliveries.all()
        for note in delivery.notes.all()
    }


def _notes_with_reports() -> QuerySet[DeliveryNote]:
    notes = DeliveryNote.objects.select_related("report__service_event", "closed_by")
    return notes.defer("report__service_event__raw")


def _reports() -> QuerySet[Report]:
    """With what a service told, but for its raw text, which no page shows."""
    return Report.objects.select_related("service_event").defer("service_event__raw").order_by("id")
