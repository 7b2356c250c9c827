"""The quarantine: what matched nothing is there to be seen, and what we failed to read is said on every page."""

from __future__ import annotations

import pytest
from django.urls import reverse

from telltale.conversations.models import Conversation, Part, RawMail
from telltale.inbound import reading
from telltale.inbound.store import keep
from tests.inbound.mails import MAILBOX, automatic_answer, block, letter, report

pytestmark = pytest.mark.django_db
Fate = RawMail.Fate


def take(content: bytes, to: str = MAILBOX) -> RawMail:
    mail = keep(content, door="smtp", mail_from="", rcpt_to=to, peer="198.51.100.7")
    assert reading.read_next()
    mail.refresh_from_db()
    return mail


@pytest.fixture
def forged(mailbox) -> RawMail:
    return take(report(block("ana@oldworks.example")))


@pytest.fixture
def unread(mailbox, monkeypatch) -> RawMail:
    """A mail that we failed at."""
    with monkeypatch.context() as broken:
        broken.setattr(reading, "read_letter", lambda _: 1 / 0)
        return take(letter(body="Is anybody there?"))


def page(desk, query: str = "") -> str:
    return desk.get(reverse("quarantine") + query).content.decode()


def test_what_matched_nothing_stands_there_with_its_reason_and_one_click_from_the_mail(desk, forged):
    shown = page(desk)

    assert "Undelivered Mail Returned to Sender" in shown
    assert "mailer-daemon@google.sandbox.test" in shown
    assert "a report of a failure that matches no reply of ours" in shown
    assert reverse("mail", args=[forged.pk]) in shown


def test_an_empty_quarantine_says_so(desk, mailbox):
    assert "Nothing is set aside." in page(desk)


def test_somebody_lets_a_mail_in_and_it_is_a_message_like_any_other(desk, mailbox):
    mail = take(automatic_answer())
    assert mail.fate == Fate.QUARANTINED

    desk.post(reverse("quarantine-admission", args=[mail.pk]))

    mail.refresh_from_db()
    conversation = Conversation.objects.get()
    assert (mail.fate, mail.fate_reason) == (Fate.MESSAGE, f"conversation {conversation.pk}: let in by Maya")
    message, event = conversation.parts.order_by("pk")
    assert (message.kind, message.raw_mail) == (Part.Kind.CUSTOMER_MESSAGE, mail)
    assert event.body.startswith(
        "Maya let this mail in from quarantine (an automatic answer to nothing of ours)"
    )
    assert "Nothing is set aside." in page(desk)


def test_let_in_twice_is_once(desk, mailbox):
    mail = take(automatic_answer())
    for _ in range(2):
        desk.post(reverse("quarantine-admission", args=[mail.pk]))

    assert Part.objects.filter(kind=Part.Kind.CUSTOMER_MESSAGE).count() == 1


def test_without_a_sender_nobody_can_be_answered(desk, mailbox):
    mail = take(letter(sender="nobody"))
    assert "Let it in" not in page(desk)

    answer = desk.post(reverse("quarantine-admission", args=[mail.pk]), follow=True)

    assert "It names no sender" in answer.content.decode()


def test_what_we_failed_to_read_is_said_on_every_page_and_stands_first(desk, unread, forged):
    assert unread.fate == Fate.FAULT
    assert 'class="alert">Quarantine <b>1</b>' in desk.get(reverse("guide")).content.decode()
    shown = page(desk)
    assert shown.index("our own fault: ZeroDivisionError") < shown.index("matches no reply of ours")


def test_it_is_read_again_once_the_fault_is_mended(desk, unread):
    desk.post(reverse("quarantine-rereading", args=[unread.pk]))
    assert reading.read_next()

    unread.refresh_from_db()
    assert unread.fate == Fate.MESSAGE
    assert Part.objects.get().body == "Is anybody there?"
    assert "Quarantine <b>" not in page(desk)


def test_an_admin_removes_a_mail_for_ever(desk, forged):
    name, storage = forged.content.name, forged.content.storage

    desk.post(reverse("quarantine-removal", args=[forged.pk]))

    assert not RawMail.objects.exists()
    assert not storage.exists(name)


def test_only_admins_remove_and_only_what_is_set_aside(client, desk, colleague, forged):
    mail = take(letter())
    assert desk.post(reverse("quarantine-removal", args=[mail.pk])).status_code == 404

    client.force_login(colleague)
    assert client.post(reverse("quarantine-removal", args=[forged.pk])).status_code == 403
    assert "Remove" not in client.get(reverse("quarantine")).content.decode()


def test_a_long_quarantine_has_pages_and_what_a_stranger_wrote_is_text(desk, mailbox):
    for number in range(51):
        take(automatic_answer().replace(b"Subject: ", f"Subject: <b>{number}</b> ".encode()))

    first = page(desk)
    assert "&lt;b&gt;50&lt;/b&gt;" in first
    assert "&lt;b&gt;0&lt;/b&gt;" not in first
    oldest_shown = RawMail.objects.order_by("-pk")[49].pk
    assert f"?before={oldest_shown}" in first
    assert "&lt;b&gt;0&lt;/b&gt;" in page(desk, f"?before={oldest_shown}")


def test_a_lost_file_is_said_and_does_not_hide_the_others(desk, forged):
    forged.content.storage.delete(forged.content.name)

    assert "(its file cannot be read)" in page(desk)
