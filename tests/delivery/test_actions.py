"""What agents do about replies."""

from __future__ import annotations

import uuid
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from django.conf import settings
from django.utils import timezone

from telltale.conversations.actions import add_customer_message
from telltale.conversations.models import Mailbox, Part
from telltale.delivery import queue
from telltale.delivery.actions import (
    NotPossibleError,
    StaleError,
    cancel,
    mark_handled,
    retry,
    send_reply,
    send_to_another_address,
)
from telltale.delivery.composing import Recipient
from telltale.delivery.models import Delivery, DeliveryNote
from telltale.delivery.states import State
from telltale.mail.reply_address import ReplyAddress, verify
from tests.delivery.test_queue import NO_SUCH_USER, answer, claim


@pytest.fixture
def failed(reply) -> Delivery:
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, NO_SUCH_USER)
    return delivery


def sent_mail(delivery: Delivery):
    with delivery.message.content.open("rb") as file:
        return message_from_bytes(file.read(), policy=policy.default)


def test_a_reply_is_one_message_with_one_delivery_for_each_recipient(conversation, agent):
    recipients = [
        Recipient(Delivery.Role.TO, "ana@oldworks.example", "Ana Ribeiro"),
        Recipient(Delivery.Role.CC, "finance@ribeiro.example"),
        Recipient(Delivery.Role.BCC, "boss@lamp.example"),
    ]

    part = send_reply(conversation, agent=agent, recipients=recipients, body="Grüße", key=uuid.uuid4())

    deliveries = Delivery.objects.filter(message__part=part)
    mail = sent_mail(deliveries[0])
    assert len({delivery.message_id for delivery in deliveries}) == 1
    assert [delivery.state for delivery in deliveries] == [State.QUEUED] * 3
    assert mail["From"] == '"Maya, Lamp & Co" <support@lamp.example>'
    assert mail["To"] == "Ana Ribeiro <ana@oldworks.example>"
    assert mail["Cc"] == "finance@ribeiro.example"
    assert "boss" not in str(mail)
    assert mail["Subject"] == "Re: Where is my refund?"
    assert mail["In-Reply-To"] == mail["References"] == "<first@oldworks.example>"
    assert mail["Message-ID"] == part.message_id
    assert mail.get_body(("plain",)).get_content().strip() == "Grüße"
    assert "<p>Grüße</p>" in mail.get_body(("html",)).get_content()


def test_a_second_click_sends_nothing(reply):
    key = uuid.uuid4()

    reply("ana@oldworks.example", key=key)
    reply("ana@oldworks.example", key=key)

    assert Delivery.objects.count() == 1
    assert Part.objects.filter(kind=Part.Kind.REPLY).count() == 1


def test_a_page_that_has_not_seen_the_newest_message_does_not_send(reply, conversation):
    seen = conversation.version
    add_customer_message(conversation, from_address="ana@oldworks.example", body="Found it, forget it!")

    with pytest.raises(StaleError, match="Ana Ribeiro wrote here while you were writing"):
        reply("ana@oldworks.example", seen_version=seen)

    assert not Delivery.objects.exists()


def test_the_fate_of_an_earlier_reply_makes_no_page_stale(reply, conversation, colleague):
    [delivery] = reply("ana@oldworks.example")
    conversation.refresh_from_db()
    seen = conversation.version
    answer(delivery, NO_SUCH_USER)

    reply("ana.ribeiro@gmail.example", seen_version=seen)

    assert Delivery.objects.count() == 2


def test_try_again_queues_the_same_mail_and_settles_the_note(failed, agent):
    retry(failed, agent=agent)

    failed.refresh_from_db()
    note = DeliveryNote.objects.get()
    assert failed.state == State.QUEUED
    assert (note.closed_how, note.closed_by) == (DeliveryNote.Closed.RETRIED, agent)
    assert len(claim()) == 1


def test_try_again_tomorrow_waits_until_tomorrow(failed, agent):
    tomorrow = timezone.now() + timedelta(days=1)

    retry(failed, agent=agent, at=tomorrow)

    failed.refresh_from_db()
    assert failed.next_attempt_at == tomorrow
    assert claim() == []


def test_a_second_failure_writes_a_second_note_at_the_end(failed, agent):
    retry(failed, agent=agent)

    answer(failed, NO_SUCH_USER)

    assert [note.closed_how for note in DeliveryNote.objects.order_by("pk")] == ["retried", ""]


def test_what_was_accepted_cannot_be_tried_again(reply, agent):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, "250 2.0.0 Ok\r\n")

    with pytest.raises(NotPossibleError, match="is accepted by now"):
        retry(delivery, agent=agent)


def test_the_html_shows_words_as_words_and_links_as_links(reply):
    [delivery] = reply("ana@oldworks.example", body="<b>Hi</b>\nsee https://lamp.example/a?b=1&c=2")

    html = sent_mail(delivery).get_body(("html",)).get_content()
    assert "&lt;b&gt;Hi&lt;/b&gt;<br>" in html
    assert 'href="https://lamp.example/a?b=1&amp;c=2"' in html


def test_answers_carry_the_conversation_where_the_mailbox_wants_that(reply, mailbox, conversation):
    assert sent_mail(reply("ana@oldworks.example")[0])["Reply-To"] is None

    Mailbox.objects.update(tagged_replies=True)
    reply_to = sent_mail(reply("ana@oldworks.example")[0])["Reply-To"].addresses[0].addr_spec
    assert verify(reply_to, keys=settings.REPLY_ADDRESS_KEYS) == ReplyAddress(
        mailbox.address, conversation.pk
    )


def test_another_address_gets_the_same_words_in_a_mail_of_its_own(failed, agent):
    other = send_to_another_address(failed, agent=agent, address="ana.ribeiro@gmail.example")

    first, second = sent_mail(failed), sent_mail(other)
    assert second["To"] == "ana.ribeiro@gmail.example"
    for kind in ("plain", "html"):
        assert second.get_body((kind,)).get_content() == first.get_body((kind,)).get_content()
    assert second["Message-ID"] != first["Message-ID"]
    assert second["In-Reply-To"] == first["In-Reply-To"]
    assert (other.replaces, other.state) == (failed, State.QUEUED)
    assert DeliveryNote.objects.get().closed_how == DeliveryNote.Closed.REDIRECTED


def test_the_others_of_the_first_mail_are_named_and_get_no_second_copy(reply, agent):
    ana, _ = reply("ana@oldworks.example", "finance@ribeiro.example")
    for claimed in claim():
        words = NO_SUCH_USER if claimed.recipient == ana.recipient else "250 2.0.0 Ok\r\n"
        from tests.conftest import answered

        queue.record_result(claimed.attempt_id, answered(words, recipient=claimed.recipient))
    ana.refresh_from_db()

    other = send_to_another_address(ana, agent=agent, address="ana.ribeiro@gmail.example")

    assert sent_mail(other)["Cc"] == "finance@ribeiro.example"
    assert [claimed.recipient for claimed in claim()] == ["ana.ribeiro@gmail.example"]


def test_the_same_other_address_twice_is_refused(failed, agent):
    send_to_another_address(failed, agent=agent, address="ana.ribeiro@gmail.example")

    with pytest.raises(NotPossibleError, match="already goes to"):
        send_to_another_address(failed, agent=agent, address="Ana.Ribeiro@gmail.example")


def test_a_delayed_delivery_that_is_sent_elsewhere_is_not_tried_any_more(reply, agent):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, "450 4.2.0 Greylisted\r\n")

    send_to_another_address(delivery, agent=agent, address="ana.ribeiro@gmail.example")

    delivery.refresh_from_db()
    assert delivery.state == State.CANCELLED


def test_cancel_takes_back_what_has_not_left(reply, agent):
    [delivery] = reply("ana@oldworks.example")

    cancel(delivery, agent=agent)

    delivery.refresh_from_db()
    assert delivery.state == State.CANCELLED
    assert claim() == []


def test_mark_as_handled_settles_the_note_and_leaves_the_fate(failed, agent, conversation):
    mark_handled(DeliveryNote.objects.get(), agent=agent)

    failed.refresh_from_db()
    conversation.refresh_from_db()
    assert failed.state == State.FAILED
    assert DeliveryNote.objects.get().closed_by == agent
    assert conversation.alert == ""
