"""What waits on purpose: for a dead address, for an incident, for a paused mailbox, for a person.

Rule 1: whatever is held has a note in its conversation. Nothing waits unseen.
Rule 2: `settle` brings the deliveries in line with the facts (is the mailbox paused? is the incident over?), again
and again and a few at a time. So a pause or a recovery is one row, whether five or fifty thousand deliveries wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Lower
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.bounce import explain
from telltale.conversations.actions import advance, announce
from telltale.conversations.models import Address, Conversation, Mailbox
from telltale.delivery.models import Delivery, DeliveryNote, Incident, Report
from telltale.delivery.notes import close_note, mark_reply_changed, refresh_alert, write_note
from telltale.delivery.states import WAITING, Event, State, can
from telltale.events.bell import QUEUE, ring

AT_A_TIME = 100  # deliveries that one round of `settle` moves

WHY = {
    Delivery.Hold.ADDRESS: "No mail reaches this address",
    Delivery.Hold.INCIDENT: "The provider takes no mail of ours at the moment",
    Delivery.Hold.MAILBOX: "The mailbox is paused",
    Delivery.Hold.PERSON: "A person holds it",
}


def reason_to_hold(delivery: Delivery) -> Delivery.Hold | None:
    """Whether a delivery must wait before its first try. What a person overrode goes out."""
    if delivery.mailbox.paused_at:
        return Delivery.Hold.MAILBOX
    if not delivery.overridden and is_dead(delivery.recipient):
        return Delivery.Hold.ADDRESS
    return None


def is_dead(address: str) -> bool:
    """Whether it has been proven that no mail reaches this address, and nothing has been heard from it since."""
    return Address.objects.with_email(address).filter(dead_since__isnull=False).exists()


def last_proof(address: str) -> Report | None:
    """The newest proven refusal of this address: the evidence behind its hold."""
    refusals = Report.objects.annotate(address=Lower("delivery__recipient")).filter(
        address=address.lower(), action="failed", proven=True
    )
    return refusals.order_by("-heard_at").first()


def hold(
    conversation: Conversation,
    delivery: Delivery,
    because: Delivery.Hold,
    *,
    report: Report | None = None,
    incident: Incident | None = None,
) -> None:
    """Let it wait, with a note that says why. The caller has locked the conversation and the delivery."""
    delivery.incident = incident or delivery.incident
    delivery.move(Event.HELD, because=because)
    delivery.save()
    write_note(
        conversation,
        delivery,
        report,
        DeliveryNote.Kind.HELD,
        why=WHY[because],
        attention_at=_attention_at(delivery, because),
    )


def _attention_at(delivery: Delivery, because: Delivery.Hold) -> datetime | None:
    if because == Delivery.Hold.PERSON:
        return None  # they know
    if because == Delivery.Hold.ADDRESS:
        return timezone.now()  # it waits for an agent and for nothing else
    at: datetime = delivery.queued_at + settings.ATTENTION_AFTER
    return at


def release(conversation: Conversation, delivery: Delivery, *, agent: Agent | None = None) -> None:
    """Let it go, at the time that its writer chose where that is still to come. The caller has locked both."""
    delivery.move(Event.UNHELD, next_attempt_at=max(delivery.queued_at, timezone.now()))
    delivery.save()
    close_note(delivery, DeliveryNote.Closed.RELEASED, conversation=conversation, agent=agent)


@transaction.atomic
def pause(mailbox: Mailbox, *, agent: Agent) -> None:
    """Nothing leaves from this mailbox until `resume`. What a worker is busy with just now still goes out."""
    Mailbox.objects.filter(pk=mailbox.pk, paused_at=None).update(paused_at=timezone.now())
    ring(QUEUE)


@transaction.atomic
def resume(mailbox: Mailbox, *, agent: Agent) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(paused_at=None)
    ring(QUEUE)


def settle() -> int:
    """One round: hold what must wait, release what need not any more. Returns how many deliveries it moved."""
    return sum(_each(deliveries, change) for deliveries, change in _misplaced())


def _misplaced() -> Iterable[tuple[QuerySet[Delivery], Callable[[Conversation, Delivery], None]]]:
    """The deliveries that are not as the facts want them, and what to do with each."""
    paused = Mailbox.objects.exclude(paused_at=None).values_list("pk", flat=True)
    held = Delivery.objects.filter(state=State.HELD)
    if paused:
        yield Delivery.objects.filter(state__in=WAITING, mailbox__in=list(paused)), _hold_for_mailbox
    yield held.filter(held_because=Delivery.Hold.MAILBOX, mailbox__paused_at=None), release
    by_incident = held.filter(held_because=Delivery.Hold.INCIDENT)
    yield by_incident.exclude(incident__closed_at=None), release
    yield _probes(), _probe
    yield by_incident.filter(queued_at__lt=timezone.now() - settings.RETRY_FOR), _give_up
    alive = Address.objects.annotate(lower=Lower("email")).filter(
        lower=Lower(OuterRef("recipient")), dead_since=None
    )
    yield held.filter(Exists(alive), held_because=Delivery.Hold.ADDRESS), release
    yield _to_retry(), _retry


def _probes() -> QuerySet[Delivery]:
    """The oldest held delivery of each incident whose time for a probe has come."""
    due = Incident.objects.filter(closed_at=None, probe_at__lte=timezone.now()).exclude(provider="")
    oldest = (
        Delivery.objects.filter(state=State.HELD, incident=OuterRef("pk")).order_by("pk").values("pk")[:1]
    )
    due_or_under_way = Q(state=State.SENDING) | Q(state__in=WAITING, next_attempt_at__lte=timezone.now())
    under_way = Delivery.objects.filter(due_or_under_way, incident=OuterRef("pk"))
    unknown = due.exclude(Exists(under_way)).annotate(oldest=Subquery(oldest))
    return Delivery.objects.filter(pk__in=unknown.values("oldest"))


def _to_retry() -> QuerySet[Delivery]:
    """What failed for an incident that a person has mended, if its note is still open."""
    has_open_note = Exists(DeliveryNote.objects.filter(delivery=OuterRef("pk"), closed_at=None))
    return Delivery.objects.filter(
        has_open_note, state=State.FAILED, incident__retry_failed=True, incident__closed_at__isnull=False
    )


def _each(deliveries: QuerySet[Delivery], change: Callable[[Conversation, Delivery], None]) -> int:
    ids = list(deliveries.order_by("pk").values_list("pk", flat=True)[:AT_A_TIME])
    return sum(_change_one(pk, deliveries, change) for pk in ids)


@transaction.atomic
def _change_one(
    pk: int, deliveries: QuerySet[Delivery], change: Callable[[Conversation, Delivery], None]
) -> bool:
    conversation_id = Delivery.objects.values_list("message__part__conversation_id", flat=True).get(pk=pk)
    conversation = advance(conversation_id)
    delivery = Delivery.objects.select_for_update().get(pk=pk)
    if not deliveries.filter(pk=pk).exists():
        return False  # somebody was quicker
    change(conversation, delivery)
    tell_of_change(conversation, delivery, "delivery.changed")
    return True


def _hold_for_mailbox(conversation: Conversation, delivery: Delivery) -> None:
    hold(conversation, delivery, Delivery.Hold.MAILBOX)


def _probe(conversation: Conversation, delivery: Delivery) -> None:
    """It goes out to find out; its note stays, since most probes come back."""
    delivery.move(Event.UNHELD, next_attempt_at=timezone.now())
    delivery.save()


def _give_up(conversation: Conversation, delivery: Delivery) -> None:
    """Held for longer than anybody waits for an answer: that is a failure, and is said so."""
    evidence = Incident.objects.select_related("report").get(deliveries=delivery).report
    delivery.move(Event.GIVEN_UP)
    delivery.save()
    verdict = explain(evidence.as_recipient_report())
    write_note(conversation, delivery, evidence, DeliveryNote.Kind.FAILED, why=verdict.title, gave_up=True)


def _retry(conversation: Conversation, delivery: Delivery) -> None:
    if can(State(delivery.state), Event.RETRIED):
        delivery.move(Event.RETRIED, next_attempt_at=timezone.now())
        delivery.queued_at = timezone.now()
        delivery.incident = None
        delivery.save()
        close_note(delivery, DeliveryNote.Closed.RETRIED, conversation=conversation)


def tell_of_change(conversation: Conversation, delivery: Delivery, name: str) -> None:
    """Let the pages and the lists know, once the caller's transaction commits."""
    mark_reply_changed(conversation, delivery.message)
    refresh_alert(conversation)
    announce(conversation, name, delivery=delivery.pk)
