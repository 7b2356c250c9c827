"""Doing one thing to many deliveries: retry, hold, release, cancel; an incident, a mailbox, a destination.

Rule 1: each delivery is a transaction of its own, under its conversation's lock. What has become impossible
meanwhile is passed over and told, never forced.
Rule 2: bulk work goes by id from a watermark up to the newest id at its start. Whoever does it can stop and go
on at any batch, in another process, after a crash: nothing is done twice, and nothing that came later is touched.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import cast

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.conversations.actions import add_event, advance
from telltale.conversations.models import Conversation, Mailbox
from telltale.delivery import browse, holds, incidents
from telltale.delivery.browse import Count, Filter
from telltale.delivery.models import Delivery, DeliveryNote, Destination, Incident
from telltale.delivery.notes import close_note
from telltale.delivery.states import WAITING, Event, State, can
from telltale.events.bell import QUEUE, publish, ring

BATCH = 100  # deliveries that are looked up at a time
AT_THE_COMMAND_LINE = "An administrator at the command line"
TOPICS = ["inbox", "queue"]


class Verb(StrEnum):
    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"


_EVENT = {
    Verb.RETRY: Event.RETRIED,
    Verb.HOLD: Event.HELD,
    Verb.RELEASE: Event.UNHELD,
    Verb.CANCEL: Event.CANCELLED,
}
# What each verb is for, where the filter names no state. Who wants a failed or uncertain one again has to say so:
# a desk has years of failed ones, and an uncertain one may have arrived.
_USUAL = {
    Verb.RETRY: (State.DELAYED, State.HELD),
    Verb.HOLD: WAITING,
    Verb.RELEASE: (State.HELD,),
    Verb.CANCEL: (*WAITING, State.HELD),
}
_BY_NOW = {
    State.QUEUED: "queued, and held by nothing",
    State.SENDING: "being sent just now",
    State.DELAYED: "delayed, and held by nothing",
    State.ACCEPTED: "accepted meanwhile",
    State.DELIVERED: "delivered meanwhile",
    State.FAILED: "settled as failed",
    State.UNCERTAIN: "handed over without an answer",
    State.CANCELLED: "cancelled already",
    State.HELD: "held already",
}
GONE = "taken back by their writer"
PAUSED = "in a paused mailbox: let that go on first"
SCHEDULED = "waiting for the time that an agent chose"


def targets(verb: Verb, chosen: Filter) -> QuerySet[Delivery]:
    """The deliveries that this verb is to be tried on."""
    found = browse.deliveries(chosen)
    if chosen.ids:
        return found
    if not chosen.state:
        found = found.filter(state__in=_USUAL[verb])
    if verb == Verb.RETRY and chosen.state != State.UNCERTAIN:
        found = found.filter(
            ~Q(state=State.UNCERTAIN)
        )  # a second copy is sent by nobody who did not ask for it
    return found


def obstacle(verb: Verb, delivery: Delivery) -> str:
    """Why this cannot be done to it, as "were …" goes on; "" where it can."""
    state = State(delivery.state)
    is_busy = state == State.SENDING  # a worker has it; that it may become held is for the worker alone
    if is_busy or not can(state, _EVENT[verb]):
        return _BY_NOW[state]
    if verb in (Verb.RETRY, Verb.RELEASE) and delivery.mailbox.paused_at:
        return PAUSED
    if verb == Verb.RETRY and delivery.is_scheduled:
        return SCHEDULED
    return ""


def apply(verb: Verb, delivery_id: int, *, by: Agent | None) -> str:
    """Do it. Returns why it was not possible, or "" where it is done. `by` None: at the command line."""
    delivery = Delivery.objects.select_related("mailbox", "message__part").filter(pk=delivery_id).first()
    if delivery is None:
        return GONE
    return obstacle(verb, delivery) or _apply(verb, delivery, by)


@transaction.atomic
def _apply(verb: Verb, seen: Delivery, by: Agent | None) -> str:
    conversation = advance(seen.message.part.conversation_id)
    locked = Delivery.objects.select_for_update(of=("self",)).select_related("mailbox", "message")
    delivery = locked.filter(pk=seen.pk).first()
    if delivery is None:
        return GONE
    why_not = obstacle(verb, delivery)
    if not why_not:
        _DO[verb](conversation, delivery, by)
        holds.tell_of_change(conversation, delivery, f"delivery.{DONE[verb]}")
        ring(QUEUE)
    return why_not


def _retry(conversation: Conversation, delivery: Delivery, by: Agent | None) -> None:
    now = timezone.now()
    delivery.overridden = True  # a person has looked at it: no hold stops it a second time
    delivery.move(Event.RETRIED, next_attempt_at=now)
    delivery.queued_at = now  # the lifetime counts anew
    delivery.save()
    close_note(delivery, DeliveryNote.Closed.RETRIED, conversation=conversation, agent=by)
    _tell_who(conversation, delivery, Verb.RETRY, by)


def _hold(conversation: Conversation, delivery: Delivery, by: Agent | None) -> None:
    holds.hold(conversation, delivery, Delivery.Hold.PERSON)
    add_event(conversation, f"{_who(by)} held the delivery to {delivery.recipient}", by)


def _release(conversation: Conversation, delivery: Delivery, by: Agent | None) -> None:
    # Of a hold for a dead address or an incident: a person knows better, and nothing stops it a second time.
    delivery.overridden = delivery.overridden or delivery.held_because != Delivery.Hold.PERSON
    holds.release(conversation, delivery, agent=by)
    _tell_who(conversation, delivery, Verb.RELEASE, by)


def _cancel(conversation: Conversation, delivery: Delivery, by: Agent | None) -> None:
    delivery.move(Event.CANCELLED)
    delivery.save()
    close_note(delivery, DeliveryNote.Closed.CANCELLED, conversation=conversation, agent=by)
    add_event(conversation, f"{_who(by)} cancelled the delivery to {delivery.recipient}", by)


_DO: Mapping[Verb, Callable[[Conversation, Delivery, Agent | None], None]] = {
    Verb.RETRY: _retry,
    Verb.HOLD: _hold,
    Verb.RELEASE: _release,
    Verb.CANCEL: _cancel,
}
DONE = {Verb.RETRY: "retried", Verb.HOLD: "held", Verb.RELEASE: "released", Verb.CANCEL: "cancelled"}


def _who(by: Agent | None) -> str:
    return by.name if by else AT_THE_COMMAND_LINE


def _tell_who(conversation: Conversation, delivery: Delivery, verb: Verb, by: Agent | None) -> None:
    """Where no agent's name can stand in the note that this closes."""
    if by is None:
        what = "let the delivery go" if verb == Verb.RELEASE else "had the delivery tried again"
        add_event(conversation, f"{_who(by)} {what} to {delivery.recipient}")


@dataclass(frozen=True, slots=True)
class Work:
    """One verb for all that match, and how far it has come."""

    verb: Verb
    chosen: Filter
    upto: int  # the newest id at the start: what came later is not meant
    total: Count
    after: int = 0  # the watermark: these ids have been dealt with
    done: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)  # why not, and how often
    is_begun: bool = False
    is_finished: bool = False

    @property
    def seen(self) -> int:
        return self.done + sum(self.refused.values())


def plan(verb: Verb, chosen: Filter) -> Work:
    """What would be done, and to how many. Nothing is, yet."""
    newest = Delivery.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    return Work(verb, chosen, upto=newest, total=browse.count(targets(verb, chosen)))


def go_on(work: Work, *, by: Agent | None, seconds: float, most: int = BATCH) -> Work:
    """The next batch: up to `most` deliveries, and no new one once `seconds` are over."""
    ends_at = time.monotonic() + seconds
    remaining = targets(work.verb, work.chosen).filter(pk__gt=work.after, pk__lte=work.upto)
    ids = list(remaining.order_by("pk").values_list("pk", flat=True)[:most])
    refused, done, after, dealt_with = Counter(work.refused), work.done, work.after, 0
    for after in ids:
        why_not = apply(work.verb, after, by=by)
        refused.update([why_not] if why_not else [])
        done += not why_not
        dealt_with += 1
        if time.monotonic() > ends_at:
            break
    return replace(
        work,
        after=after,
        done=done,
        refused=dict(refused),
        is_begun=True,
        is_finished=dealt_with == len(ids) < most,
    )


@transaction.atomic
def close_incident(incident: Incident, *, by: Agent | None, retry_failed: bool) -> None:
    incidents.close(incident, agent=_perhaps(by), retry_failed=retry_failed)


@transaction.atomic
def pause(mailbox: Mailbox, *, by: Agent | None) -> None:
    """Nothing leaves from this mailbox any more; the event tells who did it."""
    holds.pause(mailbox, agent=_perhaps(by))
    publish("mailbox.paused", TOPICS, mailbox=mailbox.pk, **({"agent": by.pk} if by else {}))


@transaction.atomic
def resume(mailbox: Mailbox, *, by: Agent | None) -> None:
    holds.resume(mailbox, agent=_perhaps(by))
    publish("mailbox.resumed", TOPICS, mailbox=mailbox.pk, **({"agent": by.pk} if by else {}))


def _perhaps(by: Agent | None) -> Agent:
    """Nobody, to verbs that ask for an agent: it is done at the command line."""
    return cast("Agent", by)


@transaction.atomic
def limit(destination: str, per_minute: int | None, *, by: Agent | None) -> bool:
    """At most so many tries in a minute go there; None is no limit. Returns whether mail has gone there before."""
    _, is_new = Destination.objects.update_or_create(name=destination, defaults={"per_minute": per_minute})
    publish("destination.limited", TOPICS, **({"agent": by.pk} if by else {}))
    ring(QUEUE)
    return not is_new
