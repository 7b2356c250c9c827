"""Between Send and the first try: undo, later, what is held, and what is known before."""

from __future__ import annotations

import errno
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from django.core.cache import cache
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from telltale.config.environment import HostPort
from telltale.conversations import dkim_keys
from telltale.conversations.actions import add_customer_message, add_participants, open_conversation
from telltale.conversations.models import Draft, Mailbox, Part
from telltale.delivery import claims, holds, queue
from telltale.delivery.models import Delivery, DeliveryNote, Destination, Incident
from telltale.delivery.states import State
from telltale.sandbox.dns import Zone
from tests.conftest import answered, leave_by_relay
from tests.name_server import name_server_of

HTMX = {"headers": {"HX-Request": "true"}}
NO_SUCH_USER = "550 5.1.1 The email account that you tried to reach does not exist\r\n"


@pytest.fixture(scope="module")
def name_server() -> Iterator[HostPort]:
    """The domain name system of these tests: some domains take mail, one says that it takes none."""
    zone = Zone("example.", "com.")
    for domain in ("oldworks.example", "ribeiro.example", "works.example"):
        zone.publish(domain, "A", "127.0.0.1")
    zone.publish("silent.example", "MX", "0 .")
    zone.publish("lamp.example", "TXT", '"v=spf1 a:desk.lamp.example ~all"')
    with name_server_of(zone) as where:
        yield where


@pytest.fixture(autouse=True)
def _our_name_server(settings, name_server) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=name_server)
    cache.clear()


@pytest.fixture
def ten_seconds(settings):
    settings.UNDO_SEND = timedelta(seconds=10)


@pytest.fixture
def waiting(ten_seconds, reply) -> Part:
    """A reply to two addresses that can still be taken back."""
    [first, _] = reply("ana@oldworks.example", "finance@ribeiro.example")
    return first.message.part


def claim() -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=10, lease=timedelta(seconds=20))


def mail_of(part: Part) -> bytes:
    with part.messages.get().content.open("rb") as file:
        return file.read()


def composed(**change: object) -> dict[str, object]:
    return {"to": "ana@oldworks.example", "body": "Soon.", "key": uuid.uuid4(), "seen": 99} | change


def test_a_reply_waits_for_second_thoughts(desk, conversation, waiting):
    page = desk.get(f"/conversations/{conversation.pk}/").content.decode()

    assert claim() == []
    assert "Goes out" in page
    assert f"/replies/{waiting.pk}/withdrawal" in page


def test_undo_makes_it_a_draft_again(desk, conversation, waiting):
    desk.post(f"/replies/{waiting.pk}/withdrawal")

    waiting.refresh_from_db()
    draft = Draft.objects.get()
    page = desk.get(f"/conversations/{conversation.pk}/").content.decode()
    assert (draft.to, draft.cc) == ("ana@oldworks.example", "finance@ribeiro.example")
    assert draft.body == "The refund left us this morning."
    assert (waiting.kind, waiting.body) == (Part.Kind.EVENT, "Maya took back a reply before it left")
    assert not Delivery.objects.exists()
    assert "The refund left us this morning.</textarea>" in page


def test_undo_keeps_what_has_been_typed_since(desk, conversation, waiting):
    typed = composed(body="One more thing.")

    desk.post(f"/replies/{waiting.pk}/withdrawal", typed)

    assert Draft.objects.get().body == "The refund left us this morning.\n\nOne more thing."


def test_undo_brings_the_files_back(desk, conversation, ten_seconds):
    file = SimpleUploadedFile("terms.pdf", b"%PDF-1.7", content_type="application/pdf")
    desk.post(f"/conversations/{conversation.pk}/replies", composed(files=file))
    part = Part.objects.get(kind=Part.Kind.REPLY)

    desk.post(f"/replies/{part.pk}/withdrawal")

    assert [attachment.name for attachment in Draft.objects.get().attachments.all()] == ["terms.pdf"]


def test_the_list_forgets_a_reply_that_was_taken_back(desk, conversation, waiting):
    desk.post(f"/replies/{waiting.pk}/withdrawal")

    conversation.refresh_from_db()
    assert conversation.peek == "Could you check?"


def test_what_is_on_its_way_cannot_be_taken_back(desk, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    claim()

    answer = desk.post(f"/replies/{delivery.message.part_id}/withdrawal", headers={"HX-Request": "true"})

    assert answer.status_code == 422
    assert "on its way" in answer.content.decode()
    assert Delivery.objects.get().state == State.SENDING


def test_send_now_waits_no_longer_and_the_mail_has_the_time_of_its_leaving(desk, reply):
    [delivery] = reply("ana@oldworks.example", leave_at=timezone.now() + timedelta(days=2))
    part = delivery.message.part
    planned = re.search(rb"^Date: (.*)\r$", mail_of(part), re.MULTILINE)

    desk.post(f"/replies/{part.pk}/departure")

    left = re.search(rb"^Date: (.*)\r$", mail_of(part), re.MULTILINE)
    assert len(claim()) == 1
    assert planned[1] != left[1]
    assert f"{timezone.now():%d %b %Y}".encode() in left[1]


def test_a_reply_can_be_sent_later(desk, conversation):
    at = timezone.localtime() + timedelta(days=1)

    desk.post(f"/conversations/{conversation.pk}/replies", composed(when="time", at=f"{at:%Y-%m-%dT%H:%M}"))

    delivery = Delivery.objects.get()
    assert delivery.is_scheduled
    assert abs(delivery.next_attempt_at - at) < timedelta(minutes=1)
    assert claim() == []


def test_a_time_that_is_over_is_refused_and_nothing_is_lost(desk, conversation):
    answer = desk.post(
        f"/conversations/{conversation.pk}/replies", composed(when="time", at="2020-01-01T09:00")
    )

    assert answer.status_code == 422
    assert "That time is over" in answer.content.decode()
    assert Draft.objects.get().body == "Soon."


@pytest.fixture
def dead(reply) -> Delivery:
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    queue.record_result(
        claimed.attempt_id,
        answered(NO_SUCH_USER, recipient=delivery.recipient, host="mx.google.sandbox.test"),
    )
    return delivery


def checks(desk, conversation, **addresses: str) -> str:
    return desk.get(f"/conversations/{conversation.pk}/checks", addresses).content.decode()


def test_the_composer_says_that_an_address_is_dead_and_offers_to_insist(desk, conversation, dead):
    strip = checks(desk, conversation, to="Ana <ana@oldworks.example>")

    assert "No mail reaches this address. The mailbox does not exist." in strip
    assert 'name="override_holds"' in strip


def test_insisting_sends_it(desk, conversation, dead):
    desk.post(f"/conversations/{conversation.pk}/replies", composed(override_holds="1"))

    assert Delivery.objects.latest("pk").state == State.QUEUED


def test_a_held_reply_says_why_in_the_conversation_with_the_words_of_then(desk, conversation, dead):
    desk.post(f"/conversations/{conversation.pk}/replies", composed())

    page = desk.get(f"/conversations/{conversation.pk}/").content.decode()
    assert "is held and has not gone to <b>ana@oldworks.example</b>" in page
    assert "It has been proven that no mail reaches this address" in page
    assert "Send anyway" in page


def test_a_note_of_a_paused_mailbox_needs_no_refusal_behind_it(desk, conversation, mailbox, agent, reply):
    holds.pause(mailbox, agent=agent)
    reply("ana@oldworks.example")

    page = desk.get(f"/conversations/{conversation.pk}/").content.decode()
    assert "is paused" in page
    assert "Send anyway" not in page
    assert DeliveryNote.objects.get().report is None


def test_the_list_says_what_is_held(desk, conversation, mailbox, agent, reply):
    holds.pause(mailbox, agent=agent)
    reply("ana@oldworks.example")

    assert "Held for ana@oldworks.example" in desk.get("/inbox/open/").content.decode()
    assert "Held for ana@oldworks.example" in desk.get("/inbox/delayed/").content.decode()


def test_nothing_to_say_says_nothing(desk, conversation):
    assert checks(desk, conversation, to="ana@oldworks.example, half an addr").strip() == ""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ana@nowhere.example", "The domain does not exist."),
        ("ana@silent.example", "The domain takes no mail."),
    ],
)
def test_the_composer_knows_domains_that_take_no_mail(desk, conversation, address, words):
    assert words in checks(desk, conversation, to=address)


def test_a_resolver_that_is_away_stops_nobody(desk, conversation, settings):
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=HostPort("127.0.0.1", 9))

    assert checks(desk, conversation, to="ana@nowhere.example").strip() == ""


def test_the_composer_knows_that_our_own_mail_speaks_for_nobody(desk, conversation):
    Mailbox.objects.update(address="support@unknown.example")

    assert "no DKIM, no SPF" in checks(desk, conversation)


def test_a_relay_speaks_for_the_mail_that_it_takes(desk, conversation):
    Mailbox.objects.update(address="support@unknown.example")
    leave_by_relay("smtp.example", 587)

    assert checks(desk, conversation).strip() == ""


def test_the_composer_knows_that_our_signatures_cannot_be_verified(desk, conversation):
    dkim_keys.make_keys("lamp.example")
    dkim_keys.start_signing("lamp.example")

    assert "the keys in DNS are not the ones" in checks(desk, conversation)


def test_the_composer_knows_of_a_pause(desk, conversation):
    Mailbox.objects.update(paused_at=timezone.now())

    assert "is paused" in checks(desk, conversation)


def test_the_composer_knows_of_an_incident_at_the_provider(desk, conversation, dead):
    Destination.objects.update_or_create(name="works.example", defaults={"provider": "Google"})
    Incident.objects.create(provider="Google", reason="ip_blocklisted", report=dead.reports.get())

    assert "Google takes none of our mail at the moment" in checks(desk, conversation, to="x@works.example")


def test_the_composer_knows_how_much_a_destination_takes(desk, conversation):
    Destination.objects.create(name="works.example", size_limit=1_000_000)
    file = SimpleUploadedFile("plan.zip", b"x" * 900_000, content_type="application/zip")
    desk.post(
        f"/conversations/{conversation.pk}/attachments", {"files": file, "key": uuid.uuid4(), "body": ""}
    )

    strip = checks(desk, conversation, to="x@works.example")

    assert "the mail has 1.2 MB, and they take 1.0 MB" in strip


def test_the_composer_notices_a_misspelt_domain(desk, conversation):
    assert "Did you mean <b>ana@gmail.com</b>?" in checks(desk, conversation, to="ana@gmial.com")


@pytest.fixture
def full_disk(monkeypatch):
    def fail(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, "_save", fail)


def test_on_a_full_disk_nothing_is_sent_what_was_typed_is_kept_and_the_reason_is_said(
    desk, conversation, full_disk
):
    answer = desk.post(f"/conversations/{conversation.pk}/replies", composed(), **HTMX)

    assert answer.status_code == 422
    assert (
        "Nothing was sent. The desk cannot store files at the moment (No space left on device)"
        in unescape(answer.content.decode())
    )
    assert composed()["body"] in answer.content.decode()
    assert not Delivery.objects.exists()
    assert not Part.objects.filter(kind=Part.Kind.REPLY).exists()
    assert Draft.objects.get().body == composed()["body"]


def test_a_file_that_finds_no_room_is_named_and_the_draft_stays(desk, conversation, full_disk):
    file = SimpleUploadedFile("invoice.pdf", b"%PDF")

    answer = desk.post(f"/conversations/{conversation.pk}/attachments", composed(files=file), **HTMX)

    assert answer.status_code == 422
    assert "invoice.pdf was not taken" in answer.content.decode()
    assert Draft.objects.get().attachments.count() == 0


def test_a_new_conversation_on_a_full_disk_is_not_begun(desk, mailbox, full_disk):
    fields = {
        "mailbox": mailbox.pk,
        "to": "ana@oldworks.example",
        "subject": "Lamp",
        "body": "Hello",
        "key": uuid.uuid4(),
    }

    answer = desk.post("/conversations/new", fields)

    assert "Nothing was sent." in answer.content.decode()
    assert not Part.objects.exists()


def addressed(desk, conversation) -> tuple[str, str]:
    """To and Cc as the composer opens."""
    page = desk.get(reverse("conversation", args=[conversation.pk])).content.decode()
    fields = dict(re.findall(r'name="(to|cc)" value="([^"]*)"', page))
    return fields["to"], fields["cc"]


def test_a_reply_goes_to_who_wrote_last_and_to_all_who_take_part(desk, conversation):
    add_participants(conversation, [("Ben", "ben@oldworks.example")])
    assert addressed(desk, conversation) == ("ana@oldworks.example", "ben@oldworks.example")

    add_customer_message(conversation, from_address="ben@oldworks.example", body="I agree.")

    assert addressed(desk, conversation) == ("ben@oldworks.example", "ana@oldworks.example")
    page = desk.get(reverse("conversation", args=[conversation.pk])).content.decode()
    assert "Also in this conversation" in page


def test_what_goes_on_elsewhere_is_linked_both_ways(desk, conversation, mailbox):
    later = open_conversation(
        mailbox=mailbox, contact=conversation.contact, subject="Again", continues=conversation
    )

    assert "Goes on in" in desk.get(reverse("conversation", args=[conversation.pk])).content.decode()
    assert "<h2>Continues</h2>" in desk.get(reverse("conversation", args=[later.pk])).content.decode()
