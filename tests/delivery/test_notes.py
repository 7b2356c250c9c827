"""The delivery note: one open note for a delivery, in the transaction that learns of the failure."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from telltale.bounce import explain
from telltale.conversations.models import Conversation, Part
from telltale.delivery import queue
from telltale.delivery.actions import mark_handled, retry
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Report
from telltale.delivery.states import State
from telltale.smtp.session import Outcome
from tests.conftest import answered, found_out
from tests.delivery.test_queue import GREYLISTED, NO_SUCH_USER, answer, claim, make_due

FULL = "452 4.2.2 The email account that you tried to reach is over quota\r\n"
ACCEPTED = "250 2.0.0 Ok\r\n"
Kind, Closed = DeliveryNote.Kind, DeliveryNote.Closed


@pytest.fixture
def delivery(reply) -> Delivery:
    [delivery] = reply("ana@oldworks.example")
    return delivery


def lose_the_answer(delivery: Delivery) -> None:
    """The connection breaks behind the final dot."""
    [claimed] = claim()
    words = "The connection was lost after the message had been handed over"
    queue.record_result(
        claimed.attempt_id, found_out(words, recipient=delivery.recipient, outcome=Outcome.UNCERTAIN)
    )
    delivery.refresh_from_db()


def notes() -> list[tuple[str, str]]:
    """All notes in their order: what each says, and how it was closed."""
    return list(DeliveryNote.objects.order_by("pk").values_list("kind", "closed_how"))


def alert(conversation: Conversation) -> tuple[str, str]:
    conversation.refresh_from_db()
    return conversation.alert, conversation.alert_text


def test_a_delay_that_becomes_a_failure_is_a_new_note_at_the_end(delivery, conversation, reply):
    answer(delivery, GREYLISTED)
    reply("finance@ribeiro.example")
    make_due(delivery)
    for claimed in claim():
        words = NO_SUCH_USER if claimed.recipient == delivery.recipient else ACCEPTED
        queue.record_result(claimed.attempt_id, answered(words, recipient=claimed.recipient))

    assert notes() == [(Kind.DELAYED, Closed.OVERTAKEN), (Kind.FAILED, "")]
    assert conversation.parts.last().delivery_note.kind == Kind.FAILED


def test_an_answer_that_was_lost_is_a_note_and_nothing_is_tried_again(delivery, conversation):
    lose_the_answer(delivery)

    assert notes() == [(Kind.UNCERTAIN, "")]
    assert alert(conversation)[0] == Kind.UNCERTAIN
    assert claim() == []


def test_a_second_try_of_an_uncertain_one_that_fails_says_both(delivery, agent):
    lose_the_answer(delivery)
    retry(delivery, agent=agent)

    answer(delivery, NO_SUCH_USER)

    assert notes() == [(Kind.UNCERTAIN, Closed.RETRIED), (Kind.FAILED, "")]


def test_when_the_time_is_over_the_note_has_the_words_of_the_last_obstacle(delivery):
    answer(delivery, GREYLISTED)
    Delivery.objects.update(queued_at=timezone.now() - timedelta(days=5))
    make_due(delivery)

    answer(delivery, FULL)

    last = DeliveryNote.objects.latest("pk")
    assert notes() == [(Kind.DELAYED, Closed.OVERTAKEN), (Kind.FAILED, "")]
    assert last.gave_up
    assert last.report.diagnostic_text == FULL.strip()
    assert explain(last.report.as_recipient_report()).reason == "mailbox_full"
    assert not last.delivery.next_attempt_at


def test_a_delay_is_brought_up_to_date_and_keeps_its_call_for_attention(delivery, conversation):
    answer(delivery, GREYLISTED)
    first_version = conversation.parts.last().version
    Delivery.objects.update(queued_at=timezone.now() - timedelta(hours=2))
    queue.ask_for_attention()
    make_due(delivery)

    answer(delivery, FULL)

    note = DeliveryNote.objects.get()
    assert (note.kind, note.needs_attention) == (Kind.DELAYED, True)
    assert note.report.diagnostic_text == FULL.strip()
    assert note.part.version > first_version  # an open page fetches it again


def test_a_note_that_was_handled_stays_handled_and_the_next_failure_is_a_new_one(delivery, agent):
    answer(delivery, NO_SUCH_USER)
    mark_handled(DeliveryNote.objects.get(), agent=agent)
    retry(delivery, agent=agent)

    answer(delivery, NO_SUCH_USER)

    assert notes() == [(Kind.FAILED, Closed.HANDLED), (Kind.FAILED, "")]


def test_to_handle_a_note_twice_keeps_the_first_hand(delivery, agent, colleague):
    answer(delivery, NO_SUCH_USER)
    note = DeliveryNote.objects.get()
    mark_handled(note, agent=agent)

    mark_handled(note, agent=colleague)

    note.refresh_from_db()
    assert note.closed_by == agent


def test_the_database_holds_no_second_open_note(delivery, conversation):
    answer(delivery, NO_SUCH_USER)
    note = DeliveryNote.objects.get()
    another = Part.objects.create(
        conversation=conversation, kind=Part.Kind.DELIVERY_NOTE, first_version=1, version=1
    )

    with pytest.raises(IntegrityError, match="note_one_open"), transaction.atomic():
        DeliveryNote.objects.create(
            part=another, delivery=delivery, report=note.report, kind=Kind.DELAYED, needs_attention=False
        )


def test_where_the_note_cannot_be_written_nothing_is_recorded(delivery, monkeypatch):
    """A lost note is a lie: the state would say "failed" and nobody would learn of it."""

    def fail(*args, **kwargs):
        raise DatabaseError("the disk is full")

    [claimed] = claim()
    monkeypatch.setattr(queue, "write_note", fail)

    with pytest.raises(DatabaseError):
        queue.record_result(claimed.attempt_id, answered(NO_SUCH_USER, recipient=delivery.recipient))

    delivery.refresh_from_db()
    assert delivery.state == State.SENDING
    assert Attempt.objects.get().ended_at is None
    assert not Report.objects.exists()


def test_the_list_tells_the_gravest_and_of_these_the_newest(reply, conversation, agent):
    deliveries = reply("ana@oldworks.example", "b@x.example", "c@x.example", "d@x.example")
    said = dict(zip((d.recipient for d in deliveries), [NO_SUCH_USER, NO_SUCH_USER, "", FULL], strict=True))
    for claimed in claim():
        words = said[claimed.recipient]
        result = (
            answered(words, recipient=claimed.recipient)
            if words
            else found_out("lost", recipient=claimed.recipient, outcome=Outcome.UNCERTAIN)
        )
        queue.record_result(claimed.attempt_id, result)

    told = []
    while (now_told := alert(conversation))[0]:
        told.append(now_told)
        address = now_told[1].partition(":")[0]
        mark_handled(DeliveryNote.objects.get(delivery__recipient=address), agent=agent)

    assert [(kind, text.partition(":")[0]) for kind, text in told] == [
        (Kind.FAILED, "b@x.example"),
        (Kind.FAILED, "ana@oldworks.example"),
        (Kind.UNCERTAIN, "c@x.example"),
        (Kind.DELAYED, "d@x.example"),
    ]


def test_the_list_tells_the_next_try_of_a_delay_only(delivery, conversation):
    answer(delivery, GREYLISTED)
    conversation.refresh_from_db()
    assert conversation.alert_next_try_at == delivery.next_attempt_at

    make_due(delivery)
    answer(delivery, NO_SUCH_USER)

    conversation.refresh_from_db()
    assert conversation.alert_next_try_at is None


def test_a_delay_does_not_open_a_closed_conversation_and_a_failure_says_that_it_did(delivery, conversation):
    Conversation.objects.update(state=Conversation.State.CLOSED)
    answer(delivery, GREYLISTED)
    conversation.refresh_from_db()
    assert conversation.state == Conversation.State.CLOSED

    make_due(delivery)
    answer(delivery, NO_SUCH_USER)

    conversation.refresh_from_db()
    assert conversation.state == Conversation.State.OPEN
    assert "was opened again" in conversation.parts.filter(kind=Part.Kind.EVENT).get().body


def test_the_longest_address_and_the_longest_title_fit_in_the_list(reply, conversation):
    longest = f"{'a' * 64}@{'.'.join(['b' * 58] * 3)}.example"
    [delivery] = reply(longest)

    answer(delivery, NO_SUCH_USER)

    assert alert(conversation)[1].startswith(longest)
