"""What waits on purpose, and what lets it go. Whatever is held has a note."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from telltale.conversations.actions import add_customer_message
from telltale.conversations.models import Address, Conversation, Mailbox
from telltale.delivery import actions, claims, holds, queue
from telltale.delivery.models import Delivery, DeliveryNote
from telltale.delivery.states import State
from tests.conftest import answered

NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist\r\n"


def claim() -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=10, lease=timedelta(seconds=20))


@pytest.fixture
def dead(reply) -> Delivery:
    """A refusal that proved ana@oldworks.example to be dead."""
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.record_result(
        claimed.attempt_id,
        answered(NO_SUCH_USER, recipient=delivery.recipient, host="mx.google.sandbox.test"),
    )
    return delivery


def test_a_reply_to_a_dead_address_is_held_and_the_note_has_the_proof(reply, dead, conversation):
    [delivery] = reply("ana@oldworks.example")

    note = DeliveryNote.objects.get(delivery=delivery)
    conversation.refresh_from_db()
    assert (delivery.state, delivery.held_because) == (State.HELD, Delivery.Hold.ADDRESS)
    assert (note.kind, note.needs_attention) == (DeliveryNote.Kind.HELD, True)
    assert note.report.diagnostic_text == NO_SUCH_USER.strip()
    assert claim() == []


def test_an_agent_can_send_it_anyway(reply, dead):
    [delivery] = reply("ana@oldworks.example", override_holds=True)

    assert delivery.state == State.QUEUED
    assert not DeliveryNote.objects.filter(delivery=delivery).exists()


def test_an_agent_can_let_it_go_afterwards(reply, dead, agent):
    [delivery] = reply("ana@oldworks.example")

    actions.retry(delivery, agent=agent)

    delivery.refresh_from_db()
    assert delivery.state == State.QUEUED
    assert DeliveryNote.objects.get(delivery=delivery).closed_how == DeliveryNote.Closed.RETRIED
    assert holds.settle() == 0  # and it is not held a second time


def test_mail_from_the_address_lets_it_go(reply, dead, conversation):
    [delivery] = reply("ana@oldworks.example")
    add_customer_message(conversation, from_address="Ana@oldworks.example", body="I am still here.")

    holds.settle()

    delivery.refresh_from_db()
    assert delivery.state == State.QUEUED
    assert DeliveryNote.objects.get(delivery=delivery).closed_how == DeliveryNote.Closed.RELEASED


def test_another_address_of_the_same_person_is_not_held(reply, dead):
    [delivery] = reply("ana.ribeiro@gmail.example")

    assert delivery.state == State.QUEUED


def test_a_paused_mailbox_holds_what_waits_and_what_comes(reply, mailbox, agent):
    [earlier] = reply("ana@oldworks.example")
    holds.pause(mailbox, agent=agent)
    [later] = reply("finance@ribeiro.example")

    holds.settle()

    for delivery in (earlier, later):
        delivery.refresh_from_db()
        assert (delivery.state, delivery.held_because) == (State.HELD, Delivery.Hold.MAILBOX)
        assert DeliveryNote.objects.get(delivery=delivery).kind == DeliveryNote.Kind.HELD
    assert claim() == []


def test_a_mailbox_that_goes_on_lets_everything_go(reply, mailbox, agent, conversation):
    holds.pause(mailbox, agent=agent)
    reply("ana@oldworks.example", "finance@ribeiro.example")
    holds.resume(Mailbox.objects.get(), agent=agent)

    holds.settle()

    conversation.refresh_from_db()
    assert len(claim()) == 2
    assert conversation.alert == Conversation.Alert.NONE


def test_a_reply_for_tomorrow_leaves_no_sooner_because_its_mailbox_was_paused_today(reply, mailbox, agent):
    tomorrow = timezone.now() + timedelta(days=1)
    [delivery] = reply("ana@oldworks.example", leave_at=tomorrow)
    holds.pause(mailbox, agent=agent)
    holds.settle()

    holds.resume(mailbox, agent=agent)
    holds.settle()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.next_attempt_at) == (State.QUEUED, tomorrow)
    assert claim() == []


def test_a_paused_mailbox_cannot_be_overruled_from_a_conversation(reply, mailbox, agent):
    holds.pause(mailbox, agent=agent)
    [delivery] = reply("ana@oldworks.example")

    with pytest.raises(actions.NotPossibleError, match="paused"):
        actions.retry(delivery, agent=agent)


def test_a_hold_that_lasts_asks_for_attention(reply, mailbox, agent):
    holds.pause(mailbox, agent=agent)
    [delivery] = reply("ana@oldworks.example")
    note = DeliveryNote.objects.get(delivery=delivery)
    assert not note.needs_attention

    DeliveryNote.objects.update(attention_at=timezone.now() - timedelta(seconds=1))

    assert queue.ask_for_attention() == 1


def test_a_dead_address_is_known_whatever_its_case(reply, dead):
    assert Address.objects.get(email="ana@oldworks.example").dead_since
    assert holds.is_dead("ANA@OldWorks.example")
