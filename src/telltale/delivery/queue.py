"""The queue is the delivery table: claim under a lease, commit, talk to the network, record the answer.

Rule 1: no transaction stays open while anybody talks to a network.
Rule 2: what became of a try, the new state and the note are one transaction.
Rule 3: a lease that ran out before the content went out is queued again; one that ran out after it is
"uncertain", said in a note, and never sent again by itself.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from telltale.bounce import Verdict, explain
from telltale.conversations.actions import advance, announce, mark_changed, touch_health
from telltale.conversations.models import Conversation, Mailbox
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, OutgoingMessage
from telltale.delivery.notes import close_note, mark_reply_changed, refresh_alert, write_note
from telltale.delivery.policy import RetryAt, next_step
from telltale.delivery.reports import conclude_early, judge, keep_report
from telltale.delivery.states import WAITING, Event, State, can
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.smtp.session import AttemptResult, Outcome

LONGEST_FAULT = 1_000  # characters of an error of ours


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that this worker has under its lease, with all that it needs to try it."""

    delivery_id: int
    attempt_id: int
    recipient: str
    domain: str
    message_id: int
    mailbox_id: int


class LeaseLostError(RuntimeError):
    """Another worker may have this delivery by now: do not send its content."""


@transaction.atomic
def claim(owner: uuid.UUID, *, most: int, lease: timedelta) -> list[Claim]:
    """Take up to `most` deliveries whose time has come, oldest first, and open an attempt for each."""
    now = timezone.now()
    deliveries = list(
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("message__part__conversation")
        .filter(state__in=WAITING, next_attempt_at__lte=now)
        .order_by("next_attempt_at")[:most]
    )
    for delivery in deliveries:
        delivery.move(Event.CLAIMED)
        delivery.attempt_count += 1
        delivery.lease_owner, delivery.lease_until = owner, now + lease
    Delivery.objects.bulk_update(
        deliveries,
        ["state", "next_attempt_at", "settled_at", "attempt_count", "lease_owner", "lease_until"],
    )
    attempts = Attempt.objects.bulk_create(
        Attempt(delivery=delivery, number=delivery.attempt_count, started_at=now) for delivery in deliveries
    )
    return [_as_claim(attempt) for attempt in attempts]


def _as_claim(attempt: Attempt) -> Claim:
    delivery = attempt.delivery
    return Claim(
        delivery_id=delivery.pk,
        attempt_id=attempt.pk,
        recipient=delivery.recipient,
        domain=delivery.domain,
        message_id=delivery.message_id,
        mailbox_id=delivery.message.part.conversation.mailbox_id,
    )


def next_due() -> datetime | None:
    """When the next waiting delivery wants its try; None where nothing waits."""
    waiting = Delivery.objects.filter(state__in=WAITING)
    due: datetime | None = waiting.aggregate(at=Min("next_attempt_at"))["at"]
    return due


def extend_leases(owner: uuid.UUID, attempt_ids: Iterable[int], *, lease: timedelta) -> None:
    """Keep the deliveries of these attempts, those that this worker is really busy with."""
    mine = Delivery.objects.filter(state=State.SENDING, lease_owner=owner, attempts__in=list(attempt_ids))
    mine.update(lease_until=timezone.now() + lease)


def mark_content_started(attempt_id: int) -> None:
    """Commit that the content goes out now, before its first octet does.

    Raises LeaseLostError where this attempt has been closed for us meanwhile.
    """
    marked = Attempt.objects.filter(pk=attempt_id, ended_at=None).update(content_started_at=timezone.now())
    if not marked:
        raise LeaseLostError(f"attempt {attempt_id} was taken for lost before its content went out")


def mailbox(mailbox_id: int) -> Mailbox:
    return Mailbox.objects.get(pk=mailbox_id)


def message_content(message_id: int) -> bytes:
    with OutgoingMessage.objects.get(pk=message_id).content.open("rb") as file:
        return bytes(file.read())


@transaction.atomic
def record_result(attempt_id: int, result: AttemptResult) -> None:
    """The answer of one try: evidence, state, health, note and bell, all or nothing."""
    conversation, attempt = _lock(attempt_id)
    delivery = attempt.delivery
    came_late = attempt.ended_at is not None
    _close_attempt(attempt, result)
    attempt.save()
    if result.outcome == Outcome.ACCEPTED:
        _accept(conversation, delivery)
    elif result.report and not came_late:
        unconfirmed = result.outcome == Outcome.UNCERTAIN
        _refuse(conversation, delivery, attempt, result.report, unconfirmed=unconfirmed)
    elif result.report and result.outcome == Outcome.FAILED:
        _refuse_late(conversation, delivery, result.report)
    if result.outcome in (Outcome.ACCEPTED, Outcome.UNCERTAIN):
        conclude_early(conversation, delivery, attempt)
    _tell_of_change(conversation, delivery)


@transaction.atomic
def record_fault(attempt_id: int, error: Exception) -> None:
    """A try that ended by a mistake of ours: the agents are told, and whose fault it is."""
    conversation, attempt = _lock(attempt_id)
    if attempt.ended_at is None:
        what = f"failed {{when}}: {type(error).__name__}: {error}"
        _end_without_answer(conversation, attempt.delivery, attempt, what)
        _tell_of_change(conversation, attempt.delivery)


def _lock(attempt_id: int) -> tuple[Conversation, Attempt]:
    """The conversation, then the attempt and its delivery: the order in which every verb locks."""
    conversation_id = Attempt.objects.values_list("delivery__message__part__conversation_id", flat=True).get(
        pk=attempt_id
    )
    conversation = advance(conversation_id)
    attempts = Attempt.objects.select_related("delivery__message").select_for_update(of=("self", "delivery"))
    return conversation, attempts.get(pk=attempt_id)


def _tell_of_change(conversation: Conversation, delivery: Delivery) -> None:
    mark_reply_changed(conversation, delivery.message)
    refresh_alert(conversation)
    announce(conversation, "delivery.changed", delivery=delivery.pk)


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
    attempt.ended_at = result.ended_at
    attempt.outcome = result.outcome.value
    attempt.stage = result.stage.value
    attempt.remote_host = result.remote_host
    attempt.remote_ip = result.remote_ip or None
    attempt.tls_version = result.tls_version
    attempt.tls_verified = result.tls_verified
    attempt.queue_id = result.queue_id[:255]
    attempt.reply = without_nul(str(result.reply)) if result.reply else ""
    attempt.transcript = [
        [line.at.isoformat(timespec="milliseconds"), line.who, without_nul(line.text)]
        for line in result.transcript
    ]


def without_nul(text: str) -> str:
    """PostgreSQL stores no NUL; it stands as its escape, so that no octet is lost."""
    return text.replace("\0", "\\x00")


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
    consequence = _consequence(delivery, report, verdict, unconfirmed=unconfirmed)
    delivery.move(consequence.event, next_attempt_at=consequence.next_attempt_at)
    delivery.save()
    if consequence.kind == DeliveryNote.Kind.FAILED:
        judge(delivery, report, verdict, proven=True)
    write_note(
        conversation,
        delivery,
        stored,
        consequence.kind,
        verdict=verdict,
        needs_attention=consequence.kind != DeliveryNote.Kind.DELAYED or is_long(delivery),
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
    write_note(conversation, delivery, stored, DeliveryNote.Kind.FAILED, verdict=verdict)


def _consequence(
    delivery: Delivery, report: RecipientReport, verdict: Verdict, *, unconfirmed: bool
) -> _Consequence:
    if unconfirmed:
        return _Consequence(Event.UNCONFIRMED, DeliveryNote.Kind.UNCERTAIN)
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


def is_long(delivery: Delivery) -> bool:
    """Whether a person has waited long for this one."""
    return timezone.now() - delivery.queued_at >= settings.ATTENTION_AFTER


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
    _tell_of_change(conversation, delivery)
    return True


def ask_for_attention() -> int:
    """Turn delays that have become long for a person into notes that ask for attention. Returns how many."""
    since = timezone.now() - settings.ATTENTION_AFTER
    long_ones = DeliveryNote.objects.filter(
        kind=DeliveryNote.Kind.DELAYED, closed_at=None, needs_attention=False, delivery__queued_at__lt=since
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
