"""The queue: claims, answers, lost workers. Every answer becomes a state and, where it must, a note."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from telltale.conversations.models import Address, Conversation, RawMail
from telltale.delivery import claims, queue
from telltale.delivery.models import Attempt, Delivery, DeliveryNote
from telltale.delivery.reports import record_heard
from telltale.delivery.states import State
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.smtp.session import Outcome
from tests.conftest import answered, found_out

LEASE = timedelta(seconds=20)
NO_SUCH_USER = (
    "550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
    "550 5.1.1 double-checking the address. abc123 - gsmtp\r\n"
)
GREYLISTED = "450 4.2.0 Greylisted, try again in 15 seconds\r\n"


def claim(most: int = 10) -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=most, lease=LEASE)


def answer(delivery: Delivery, words: str, **options) -> None:
    [claimed] = claim()
    queue.record_result(claimed.attempt_id, answered(words, recipient=delivery.recipient, **options))
    delivery.refresh_from_db()


def make_due(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_a_refusal_becomes_a_failed_delivery_and_a_note_with_every_word(reply, conversation):
    [delivery] = reply("ana@oldworks.example")

    answer(delivery, NO_SUCH_USER)

    note = DeliveryNote.objects.get(delivery=delivery)
    conversation.refresh_from_db()
    assert delivery.state == State.FAILED
    assert note.kind == DeliveryNote.Kind.FAILED
    assert note.report.diagnostic_text == NO_SUCH_USER.strip().replace("\r\n", "\n")
    assert conversation.alert == Conversation.Alert.FAILED
    assert conversation.alert_text.startswith("ana@oldworks.example: ")


def test_other_recipients_are_not_blamed(reply):
    ana, finance = reply("ana@oldworks.example", "finance@ribeiro.example")
    first, second = claim()

    queue.record_result(first.attempt_id, answered(NO_SUCH_USER, recipient=ana.recipient))
    queue.record_result(second.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=finance.recipient))

    finance.refresh_from_db()
    assert finance.state == State.ACCEPTED
    assert DeliveryNote.objects.get().delivery == ana


def test_a_dead_address_is_marked_and_only_that_one(reply):
    [delivery] = reply("ana@oldworks.example")

    answer(delivery, NO_SUCH_USER, host="mx.google.sandbox.test")

    dead = Address.objects.exclude(dead_since=None)
    assert [address.email for address in dead] == ["ana@oldworks.example"]


@pytest.mark.parametrize(
    "words",
    [
        "550 5.7.1 Service unavailable, client host blocked using Spamhaus\r\n",  # ours
        "552 5.2.2 The email account that you tried to reach is over quota\r\n",  # alive, full
        "554 5.6.0 Message content rejected\r\n",  # the message's
        "550 Requested action not taken\r\n",  # nobody knows
    ],
)
def test_a_good_address_is_never_called_dead(reply, words):
    [delivery] = reply("ana@oldworks.example")

    answer(delivery, words)

    assert delivery.state == State.FAILED
    assert not Address.objects.exclude(dead_since=None).exists()


def test_an_acceptance_lifts_the_mark(reply):
    Address.objects.filter(email="ana@oldworks.example").update(
        dead_since=timezone.now(), last_failed_at=timezone.now()
    )
    [delivery] = reply("ana@oldworks.example", override_holds=True)

    answer(delivery, "250 2.0.0 Ok: queued as 4Xyz\r\n")

    assert Address.objects.get(email="ana@oldworks.example").dead_since is None


def test_a_temporary_refusal_is_tried_again_when_the_server_says_so(reply):
    [delivery] = reply("ana@oldworks.example")
    before = timezone.now()

    answer(delivery, GREYLISTED)

    assert delivery.state == State.DELAYED
    assert before + timedelta(seconds=14) < delivery.next_attempt_at < timezone.now() + timedelta(seconds=16)
    note = DeliveryNote.objects.get(delivery=delivery)
    assert (note.kind, note.needs_attention) == (DeliveryNote.Kind.DELAYED, False)


def test_a_second_delay_brings_the_note_up_to_date_instead_of_writing_another(reply):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, GREYLISTED)
    make_due(delivery)

    answer(delivery, "452 4.2.2 Mailbox full\r\n")

    note = DeliveryNote.objects.get(delivery=delivery)
    assert "Mailbox full" in note.report.diagnostic_text


def test_an_acceptance_after_a_delay_settles_the_note(reply, conversation):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, GREYLISTED)
    make_due(delivery)

    answer(delivery, "250 2.0.0 Ok\r\n")

    conversation.refresh_from_db()
    assert delivery.state == State.ACCEPTED
    assert DeliveryNote.objects.get(delivery=delivery).closed_how == DeliveryNote.Closed.ACCEPTED
    assert conversation.alert == ""


def test_when_the_time_is_over_the_note_says_so_with_the_last_obstacle(reply):
    [delivery] = reply("ana@oldworks.example")
    Delivery.objects.update(queued_at=timezone.now() - timedelta(days=5))

    answer(delivery, "452 4.2.2 Mailbox full\r\n")

    note = DeliveryNote.objects.get(delivery=delivery)
    assert delivery.state == State.FAILED
    assert (note.kind, note.gave_up) == (DeliveryNote.Kind.FAILED, True)
    assert note.report.diagnostic_text == "452 4.2.2 Mailbox full"


def test_a_long_delay_asks_for_attention(reply):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, "452 4.2.2 Mailbox full\r\n")
    assert queue.ask_for_attention() == 0

    DeliveryNote.objects.update(attention_at=timezone.now() - timedelta(seconds=1))

    assert queue.ask_for_attention() == 1
    assert DeliveryNote.objects.get(delivery=delivery).needs_attention


def test_no_delivery_is_claimed_twice(reply):
    reply("ana@oldworks.example", "finance@ribeiro.example")

    assert len(claim()) == 2
    assert claim() == []


def test_a_worker_lost_before_the_content_costs_nothing(reply):
    [delivery] = reply("ana@oldworks.example")
    claim()
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert queue.rescue_lost() == 1

    delivery.refresh_from_db()
    assert delivery.state == State.QUEUED
    assert not DeliveryNote.objects.exists()
    assert Attempt.objects.get().outcome == Attempt.Outcome.LOST
    assert len(claim()) == 1


def test_a_worker_lost_behind_the_content_is_said_and_not_sent_again(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.mark_content_started([claimed.attempt_id])
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    queue.rescue_lost()

    delivery.refresh_from_db()
    assert delivery.state == State.UNCERTAIN
    assert DeliveryNote.objects.get().kind == DeliveryNote.Kind.UNCERTAIN
    assert claim() == []


def test_a_message_that_ends_worker_after_worker_waits_and_is_told_of(reply):
    [delivery] = reply("ana@oldworks.example")
    for _ in range(2):
        claim()
        Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        queue.rescue_lost()

    delivery.refresh_from_db()
    note = DeliveryNote.objects.get()
    assert (delivery.state, note.kind) == (State.DELAYED, DeliveryNote.Kind.DELAYED)
    assert note.report.reason == "desk_fault"
    assert claim() == []


def test_a_fault_of_ours_before_the_content_is_told_and_tried_again(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()

    queue.record_fault(claimed.attempt_id, FileNotFoundError("messages/1.eml"))

    delivery.refresh_from_db()
    note = DeliveryNote.objects.get()
    assert (delivery.state, note.report.reason) == (State.DELAYED, "desk_fault")
    assert "FileNotFoundError: messages/1.eml" in note.report.diagnostic_text


def test_a_fault_of_ours_behind_the_content_leaves_it_uncertain(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.mark_content_started([claimed.attempt_id])

    queue.record_fault(claimed.attempt_id, RuntimeError("no room for the answer"))

    delivery.refresh_from_db()
    note = DeliveryNote.objects.get()
    assert (delivery.state, note.report.reason) == (State.UNCERTAIN, "handed_over_unconfirmed")
    assert "no room for the answer" in note.report.diagnostic_text


def test_only_leases_of_tries_in_hand_are_extended(reply):
    reply("ana@oldworks.example", "finance@ribeiro.example")
    owner = uuid.uuid4()
    busy, dropped = claims.claim(owner, most=10, lease=LEASE)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    queue.extend_leases(owner, [busy.attempt_id], lease=LEASE)

    assert queue.rescue_lost() == 1
    assert Attempt.objects.get(pk=dropped.attempt_id).outcome == Attempt.Outcome.LOST


def test_a_worker_that_was_taken_for_lost_must_not_send_its_content(reply):
    reply("ana@oldworks.example")
    [claimed] = claim()
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    queue.rescue_lost()

    assert queue.mark_content_started([claimed.attempt_id]) == set()


def test_its_late_acceptance_still_counts(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.mark_content_started([claimed.attempt_id])
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    queue.rescue_lost()

    queue.record_result(claimed.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=delivery.recipient))

    delivery.refresh_from_db()
    assert delivery.state == State.ACCEPTED
    assert DeliveryNote.objects.get().closed_how == DeliveryNote.Closed.ACCEPTED


def test_its_late_refusal_settles_what_was_uncertain(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.mark_content_started([claimed.attempt_id])
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    queue.rescue_lost()

    queue.record_result(claimed.attempt_id, answered(NO_SUCH_USER, recipient=delivery.recipient))

    delivery.refresh_from_db()
    uncertain, failed = DeliveryNote.objects.order_by("pk")
    assert delivery.state == State.FAILED
    assert (uncertain.closed_how, failed.kind) == (DeliveryNote.Closed.OVERTAKEN, DeliveryNote.Kind.FAILED)


def test_a_bounce_that_is_back_before_the_250_is_recorded_is_told(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    bounce = RecipientReport(
        "ana@oldworks.example", Action.FAILED, diagnostic_code=Diagnostic("smtp", "550 5.1.1 No such user")
    )
    record_heard(
        delivery,
        bounce,
        heard=RawMail.objects.create(door="smtp", rcpt_to="x@lamp.example", size=1),
        proven=True,
    )

    queue.record_result(claimed.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=delivery.recipient))

    delivery.refresh_from_db()
    assert delivery.state == State.FAILED
    assert DeliveryNote.objects.get().kind == DeliveryNote.Kind.FAILED


def test_a_connection_lost_behind_the_final_dot_is_uncertain(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()

    queue.record_result(
        claimed.attempt_id,
        found_out(
            "lost after the message had been handed over",
            recipient=delivery.recipient,
            outcome=Outcome.UNCERTAIN,
        ),
    )

    delivery.refresh_from_db()
    assert delivery.state == State.UNCERTAIN
    assert DeliveryNote.objects.get().kind == DeliveryNote.Kind.UNCERTAIN


def test_a_failed_reply_opens_a_closed_conversation_unless_the_mailbox_says_no(reply, conversation, mailbox):
    [delivery] = reply("ana@oldworks.example")
    Conversation.objects.update(state=Conversation.State.CLOSED)

    answer(delivery, NO_SUCH_USER)
    conversation.refresh_from_db()
    assert conversation.state == Conversation.State.OPEN

    mailbox.reopen_on_failure = False
    mailbox.save()
    [another] = reply("ana.ribeiro@gmail.example")
    Conversation.objects.update(state=Conversation.State.CLOSED)
    answer(another, NO_SUCH_USER)
    conversation.refresh_from_db()
    assert conversation.state == Conversation.State.CLOSED


def test_octets_that_postgresql_cannot_store_are_kept_as_escapes(reply):
    [delivery] = reply("ana@oldworks.example")

    answer(delivery, "550 5.1.1 No \0 such user\r\n")

    assert DeliveryNote.objects.get().report.diagnostic_text == r"550 5.1.1 No \x00 such user"


@pytest.mark.parametrize(
    "change",
    [
        {"state": "lost"},  # no such state
        {"state": "queued", "next_attempt_at": None},  # waits for nothing
        {"state": "sending", "next_attempt_at": None},  # without a lease
        {"state": "failed"},  # failed, and still waiting for a time
    ],
)
def test_the_database_refuses_what_cannot_be(reply, change):
    reply("ana@oldworks.example")

    with pytest.raises(IntegrityError), transaction.atomic():
        Delivery.objects.update(**change)


def test_a_claim_uses_the_index_of_the_queue(reply):
    reply("ana@oldworks.example")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM delivery_delivery WHERE state IN ('queued', 'delayed') "
            "AND next_attempt_at <= now() ORDER BY next_attempt_at LIMIT 10 FOR UPDATE SKIP LOCKED"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "delivery_queue" in plan
