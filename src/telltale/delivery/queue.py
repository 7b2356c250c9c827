"""The queue is the delivery table: claim under a lease, commit, talk to the network, record the answer.

Rule 1: no transaction stays open while anybody talks to a network.
Rule 2: what became of a try, the new state and the note are one transaction.
Rule 3: a lease that ran out before the content went out is queued again; one that ran out after it is
"uncertain", said in a note, and never sent again by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from telltale.bounce import Verdict, explain
from telltale.conversations.actions import advance, announce, mark_changed, touch_health
from telltale.conversations.models import Conversation
from telltale.delivery import incidents
from telltale.delivery.attempts import as_columns
from telltale.delivery.destinations import Answered, hear, slow_down
from telltale.delivery.holds import WHY, hold, tell_of_change
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Incident
from telltale.delivery.notes import close_note, write_note
from telltale.delivery.policy import RetryAt, attention_at, next_step, pause_of_destination
from telltale.delivery.reports import conclude_early, judge, keep_report
from telltale.delivery.states import Event, State, can
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.smtp.session import AttemptResult, Outcome

LONGEST_FAULT = 1_000  # characters of an error of ours
PAST_THE_DOOR = (Stage.RCPT, Stage.DATA, Stage.CONTENT)  # whoever answers here is up and talks to us


class LeaseLostError(RuntimeError):
    """Another worker may have this delivery by now: do not send its content."""


def extend_leases(owner: uuid.UUID, attempt_ids: Iterable[int], *, lease: timedelta) -> None:
    """Keep the deliveries of these attempts, those that this worker is really busy with."""
    mine = Delivery.objects.filter(state=State.SENDING, lease_owner=owner, attempts__in=list(attempt_ids))
    mine.update(lease_until=timezone.now() + lease)


_MARK = """
    UPDATE delivery_attempt SET content_started_at = clock_timestamp()
    WHERE id = ANY(%s) AND ended_at IS NULL
    RETURNING id
"""


def mark_content_started(attempt_ids: Sequence[int]) -> set[int]:
    """Commit that the content of these goes out now, before its first octet does.

    Returns those that may go: the others have been taken for lost meanwhile, and may be somebody else's.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [list(attempt_ids)])
        return {pk for (pk,) in cursor.fetchall()}


@transaction.atomic
def record_result(attempt_id: int, result: AttemptResult) -> None:
    """The answer of one try: evidence, state, health, note and bell, all or nothing."""
    conversation, attempt = _lock(attempt_id)
    delivery = attempt.delivery
    came_late = attempt.ended_at is not None
    _close_attempt(attempt, result)
    attempt.save()
    if result.remote_host:
        heard = {delivery.destination: Answered(attempt.provider, result.size_limit)}
        hear(heard, took_one=result.outcome == Outcome.ACCEPTED)
    if result.outcome == Outcome.ACCEPTED:
        _accept(conversation, delivery)
        incidents.recovered([attempt.provider])
    elif result.report and not came_late:
        unconfirmed = result.outcome == Outcome.UNCERTAIN
        _refuse(conversation, delivery, attempt, result.report, unconfirmed=unconfirmed)
    elif result.report and result.outcome == Outcome.FAILED:
        _refuse_late(conversation, delivery, result.report)
    if result.outcome in (Outcome.ACCEPTED, Outcome.UNCERTAIN):
        conclude_early(conversation, delivery, attempt)
    tell_of_change(conversation, delivery, "delivery.changed")


@transaction.atomic
def record_fault(attempt_id: int, error: Exception) -> None:
    """A try that ended by a mistake of ours: the agents are told, and whose fault it is."""
    conversation, attempt = _lock(attempt_id)
    if attempt.ended_at is None:
        what = f"failed {{when}}: {type(error).__name__}: {error}"
        _end_without_answer(conversation, attempt.delivery, attempt, what)
        tell_of_change(conversation, attempt.delivery, "delivery.changed")


@transaction.atomic
def hold_back(attempt_id: int, incident_id: int) -> None:
    """This one was not tried: its provider takes none of our mail at the moment, and others find out when."""
    conversation, attempt = _lock(attempt_id)
    if attempt.ended_at is not None:
        return
    delivery, incident = attempt.delivery, Incident.objects.select_related("report").get(pk=incident_id)
    delivery.attempt_count -= 1
    attempt.delete()
    hold(conversation, delivery, Delivery.Hold.INCIDENT, report=incident.report, incident=incident)
    tell_of_change(conversation, delivery, "delivery.held")


def _lock(attempt_id: int) -> tuple[Conversation, Attempt]:
    """The conversation, then the attempt and its delivery: the order in which every verb locks."""
    conversation_id = Attempt.objects.values_list("delivery__message__part__conversation_id", flat=True).get(
        pk=attempt_id
    )
    conversation = advance(conversation_id)
    attempts = Attempt.objects.select_related("delivery__message").select_for_update(of=("self", "delivery"))
    return conversation, attempts.get(pk=attempt_id)


def _end_without_answer(conversation: Conversation, delivery: Delivery, attempt: Attempt, what: str) -> None:
    """Close a try that we broke off ourselves: a delay, or "uncertain" once the content was on its way."""
    is_uncertain = attempt.content_started_at is not None
    attempt.ended_at = timezone.now()
    attempt.outcome = Attempt.Outcome.UNCERTAIN if is_uncertain else Attempt.Outcome.LOST
    attempt.stage = Stage.CONTENT.value if is_uncertain else attempt.stage
    attempt.save()
    when = "after it had begun to go out and before an answer came" if is_uncertain else "before it went out"
    words = f"Our delivery process {what.format(when=when)}"[:LONGEST_FAULT]
    if is_uncertain:
        words += ". The message may or may not have arrived."
    report = RecipientReport(
        final_recipient=delivery.recipient,
        action=Action.DELAYED,
        diagnostic_code=Diagnostic("x-local", words),
        stage=Stage.CONTENT if is_uncertain else None,
    )
    _refuse(conversation, delivery, attempt, report, unconfirmed=is_uncertain)


def _close_attempt(attempt: Attempt, result: AttemptResult) -> None:
    provider = incidents.provider_of(result.remote_host, attempt.delivery.domain)
    for name, value in as_columns(result, provider).items():
        setattr(attempt, name, value)


def _accept(conversation: Conversation, delivery: Delivery) -> None:
    if not can(State(delivery.state), Event.ACCEPTED):
        return  # a worker that was taken for lost, and another answer has settled it meanwhile
    delivery.move(Event.ACCEPTED)
    delivery.save()
    touch_health(delivery.recipient, last_accepted_at=timezone.now(), dead_since=None)
    close_note(delivery, DeliveryNote.Closed.ACCEPTED, conversation=conversation)


@dataclass(frozen=True, slots=True)
class _Consequence:
    """What a try that was not accepted leads to."""

    event: Event
    kind: DeliveryNote.Kind
    next_attempt_at: datetime | None = None
    hold: Delivery.Hold | None = None

    @property
    def gave_up(self) -> bool:
        return self.event == Event.GIVEN_UP


def _refuse(
    conversation: Conversation,
    delivery: Delivery,
    attempt: Attempt,
    report: RecipientReport,
    *,
    unconfirmed: bool,
) -> None:
    verdict = explain(report)
    stored = keep_report(delivery, report, verdict=verdict, attempt=attempt)
    incident = None if unconfirmed else incidents.note_failure(delivery, stored)
    if verdict.reason not in incidents.WIDE and report.stage in PAST_THE_DOOR:
        incidents.answered(attempt.provider)
    consequence = _consequence(delivery, report, verdict, unconfirmed=unconfirmed, incident=incident)
    _mind_the_pace(delivery, verdict, consequence)
    delivery.move(consequence.event, next_attempt_at=consequence.next_attempt_at, because=consequence.hold)
    delivery.save()
    if consequence.kind == DeliveryNote.Kind.FAILED:
        judge(delivery, report, verdict, proven=True)
    write_note(
        conversation,
        delivery,
        stored,
        consequence.kind,
        why=WHY[consequence.hold] if consequence.hold else verdict.title,
        attention_at=attention_at(verdict, queued_at=delivery.queued_at, usual=settings.ATTENTION_AFTER),
        gave_up=consequence.gave_up,
    )


def _refuse_late(conversation: Conversation, delivery: Delivery, report: RecipientReport) -> None:
    """A worker that was taken for lost brings the answer after all: what was uncertain is known now."""
    if delivery.state != State.UNCERTAIN:
        return
    verdict = explain(report)
    stored = keep_report(delivery, report, verdict=verdict)  # the attempt has one already: that it was lost
    delivery.move(Event.REPORTED_FAILED)
    delivery.save()
    judge(delivery, report, verdict, proven=True)
    write_note(conversation, delivery, stored, DeliveryNote.Kind.FAILED, why=verdict.title)


def _consequence(
    delivery: Delivery,
    report: RecipientReport,
    verdict: Verdict,
    *,
    unconfirmed: bool,
    incident: Incident | None,
) -> _Consequence:
    if unconfirmed:
        return _Consequence(Event.UNCONFIRMED, DeliveryNote.Kind.UNCERTAIN)
    if incident:
        return _Consequence(Event.HELD, DeliveryNote.Kind.HELD, hold=Delivery.Hold.INCIDENT)
    if report.action == Action.FAILED:
        return _Consequence(Event.REFUSED, DeliveryNote.Kind.FAILED)
    step = next_step(
        verdict,
        attempts=delivery.attempt_count,
        queued_at=delivery.queued_at,
        now=timezone.now(),
        lifetime=settings.RETRY_FOR,
    )
    if isinstance(step, RetryAt):
        return _Consequence(Event.DELAYED, DeliveryNote.Kind.DELAYED, step.at)
    return _Consequence(Event.GIVEN_UP, DeliveryNote.Kind.FAILED)


def _mind_the_pace(delivery: Delivery, verdict: Verdict, consequence: _Consequence) -> None:
    """Where they say that we are too fast, everything to them slows down, not only this delivery."""
    pause = pause_of_destination(verdict, attempts=delivery.attempt_count)
    if pause and consequence.event == Event.DELAYED:
        slow_down(delivery.destination, pause)


def rescue_lost() -> int:
    """Settle the deliveries whose worker is gone. Returns how many there were."""
    overdue = Delivery.objects.filter(state=State.SENDING, lease_until__lt=timezone.now())
    return sum(_rescue(delivery_id) for delivery_id in overdue.values_list("pk", flat=True))


@transaction.atomic
def _rescue(delivery_id: int) -> bool:
    delivery = Delivery.objects.select_related("message__part").get(pk=delivery_id)
    conversation = advance(delivery.message.part.conversation_id)
    delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
    if delivery.state != State.SENDING or (delivery.lease_until and delivery.lease_until >= timezone.now()):
        return False  # somebody was quicker
    attempt = delivery.attempts.get(ended_at=None)
    lost_before = delivery.attempts.filter(outcome=Attempt.Outcome.LOST).exists()
    if attempt.content_started_at is None and not lost_before:
        attempt.ended_at, attempt.outcome = timezone.now(), Attempt.Outcome.LOST
        attempt.save()
        delivery.move(Event.RELEASED, next_attempt_at=timezone.now())
        delivery.save()
    else:  # a second time: this very message may be what ends our processes, so it waits, and people learn of it
        _end_without_answer(conversation, delivery, attempt, "ended {when}")
    tell_of_change(conversation, delivery, "delivery.changed")
    return True


def ask_for_attention() -> int:
    """Turn delays that have become long for a person into notes that ask for attention. Returns how many."""
    long_ones = DeliveryNote.objects.filter(
        closed_at=None, needs_attention=False, attention_at__lt=timezone.now()
    )
    return sum(_ask_for_attention(note_id) for note_id in long_ones.values_list("pk", flat=True))


@transaction.atomic
def _ask_for_attention(note_id: int) -> bool:
    note = DeliveryNote.objects.select_related("part").get(pk=note_id)
    conversation = advance(note.part.conversation_id)
    changed = DeliveryNote.objects.filter(pk=note_id, closed_at=None, needs_attention=False).update(
        needs_attention=True
    )
    if changed:
        conversation.updated_at = timezone.now()
        conversation.save(update_fields=["updated_at"])
        mark_changed(conversation, note_id)
        announce(conversation, "delivery.delayed_long", delivery=note.delivery_id)
    return bool(changed)
