"""What people type: each fault is said at its field, nothing is sent, and nothing typed is lost."""

from __future__ import annotations

import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from telltale.conversations.models import Attachment, Draft, Mailbox, Part
from telltale.delivery.models import Delivery
from telltale.web.forms import (
    MOST_RECIPIENTS,
    AlternativeForm,
    NewConversationForm,
    NewMailboxForm,
    NoteForm,
    ReplyForm,
    RetryForm,
    WelcomeForm,
)
from tests.delivery.test_queue import NO_SUCH_USER, answer

PASSWORD = "correct horse battery"


def reply_form(**changes: object) -> ReplyForm:
    usual = {"to": "ana@oldworks.example", "body": "It left us this morning.", "key": str(uuid.uuid4())}
    return ReplyForm({**usual, **changes})


def faults(form) -> dict[str, str]:
    """What is said, by field."""
    return {field: " ".join(texts) for field, texts in form.errors.items()}


@pytest.mark.parametrize(
    ("to", "read"),
    [
        ("ana@oldworks.example", [("", "ana@oldworks.example")]),
        ("a@x.example, b@x.example", [("", "a@x.example"), ("", "b@x.example")]),
        ("a@x.example; b@x.example;", [("", "a@x.example"), ("", "b@x.example")]),
        ("a@x.example\nb@x.example\r\n", [("", "a@x.example"), ("", "b@x.example")]),  # a column of a table
        ("Ana Ribeiro <ana@x.example>", [("Ana Ribeiro", "ana@x.example")]),
        (
            '"Ribeiro, Ana" <ana@x.example>, b@x.example',
            [("Ribeiro, Ana", "ana@x.example"), ("", "b@x.example")],
        ),
        ("  <ana@x.example>  ", [("", "ana@x.example")]),
        ("Ana@X.EXAMPLE", [("", "Ana@x.example")]),  # the local part is the recipient's affair
        ("ana@müller.example", [("", "ana@müller.example")]),
        ("ana@xn--mller-kva.example", [("", "ana@müller.example")]),
    ],
)
def test_addresses_are_read_as_people_write_them(to, read):
    form = reply_form(to=to)

    assert form.is_valid(), form.errors
    assert [(recipient.name, recipient.address) for recipient in form.recipients] == read


def test_each_recipient_knows_its_field():
    form = reply_form(to="a@x.example", cc="b@x.example", bcc="c@x.example")

    assert form.is_valid()
    assert [recipient.role for recipient in form.recipients] == ["to", "cc", "bcc"]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"to": ""}, "to", "Say who should get this"),
        ({"to": "  "}, "to", "Say who should get this"),
        ({"to": ",;\n"}, "to", "Say who should get this"),
        ({"to": "", "cc": "b@x.example"}, "to", "Say who should get this"),
        ({"to": "ana at oldworks"}, "to", "“ana at oldworks” is no address: it has no @"),
        ({"to": "a@x.example, b@"}, "to", "“b@” is no address"),
        ({"cc": "b@desk"}, "cc", "has no dot"),
        ({"bcc": "@x.example"}, "bcc", "“@x.example” is no address"),
        ({"to": "a" * 65 + "@x.example"}, "to", "longer than 64 octets"),
        ({"to": "a@" + "b" * 250 + ".example"}, "to", "longer than 254 octets"),
        ({"to": "ana@oldworks.example\r\nBcc: all@evil.example"}, "to", "Bcc: all@evil.example"),
        ({"to": "Ana\r\n <ana@oldworks.example>"}, "to", "“Ana”"),
        ({"to": '"Ana\nBcc: all" <ana@x.example>'}, "to", "has a line break inside"),
        ({"to": "ana\u2028@x.example"}, "to", "cannot be seen"),
        ({"to": "ana@x.example\0"}, "to", ""),
        ({"to": "ana@x.example, ANA@X.example"}, "to", "is named twice (To). Name it once."),
        ({"cc": "ana@OLDWORKS.example"}, "cc", "is named twice (To and Cc)"),
        ({"cc": "b@x.example", "bcc": "b@x.example"}, "bcc", "is named twice (Cc and Bcc)"),
        ({"to": "ana@müller.example, ana@xn--mller-kva.example"}, "to", "is named twice"),
        (
            {"to": ", ".join(f"{n}@x.example" for n in range(MOST_RECIPIENTS + 1))},
            "to",
            f"{MOST_RECIPIENTS} addresses at most",
        ),
        ({"to": "a@x.example," * 1_000}, "to", "10000"),
        ({"body": ""}, "body", "The reply is empty"),
        ({"body": " \n\t "}, "body", "The reply is empty"),
        ({"body": "x" * 200_001}, "body", "longer than 200,000 characters"),
        ({"body": "nul \0"}, "body", ""),
        ({"key": "x"}, "key", ""),
        ({"key": ""}, "key", ""),
        ({"seen": "x"}, "seen", ""),
        ({"seen": "-1"}, "seen", ""),
    ],
)
def test_a_fault_is_said_at_its_field_and_only_there(changes, field, words):
    said = faults(reply_form(**changes))

    assert list(said) == [field]
    assert words in said[field]


def test_every_faulty_field_is_told_at_once():
    assert set(faults(reply_form(to="x", cc="y", body=""))) == {"to", "cc", "body"}


def test_exactly_as_many_recipients_as_allowed_are_taken():
    people = ", ".join(f"{number}@x.example" for number in range(MOST_RECIPIENTS))

    assert reply_form(to=people).is_valid()


@pytest.mark.parametrize(
    "subject",
    [
        "Hi\nBcc: all@evil.example",
        "Hi\r\nX: y",
        "Hi\rX: y",
        "a\0b",
        "a\x7fb",
        "a\u2028b",
        "a\u2029b",
        "a\x85b",
    ],
)
def test_a_subject_that_is_no_single_line_is_refused(mailbox, subject):
    """Each of these ends a line for somebody on the way."""
    form = NewConversationForm(
        {"mailbox": mailbox.pk, "to": "a@x.example", "subject": subject, "body": "b", "key": uuid.uuid4()}
    )

    assert list(faults(form)) == ["subject"]


@pytest.mark.parametrize("subject", ["", "   ", "x" * 251])
def test_a_subject_is_there_and_not_endless(mailbox, subject):
    form = NewConversationForm(
        {"mailbox": mailbox.pk, "to": "a@x.example", "subject": subject, "body": "b", "key": uuid.uuid4()}
    )

    assert list(faults(form)) == ["subject"]


@pytest.mark.parametrize("name", ["Maya\nBcc: all@evil.example", "Maya\u2028B", "\x1b[31mMaya"])
def test_a_name_that_would_break_a_header_is_refused(db, name):
    """The name stands in From of every reply: with a line break inside, none could be sent any more."""
    welcome = WelcomeForm({"name": name, "email": "maya@lamp.example", "password": PASSWORD})
    mailbox = NewMailboxForm(
        {
            "name": name,
            "address": "a@x.example",
            "way": "direct",
            "relay_port": 587,
            "relay_security": "tls",
        }
    )

    assert list(faults(welcome)) == list(faults(mailbox)) == ["name"]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"way": "relay"}, "relay_host", "Give the relay's host name"),
        (
            {"relay_username": "u", "relay_security": "none"},
            "relay_security",
            "needs an encrypted connection",
        ),
        ({"relay_port": 0}, "relay_port", ""),
        ({"relay_port": 65_536}, "relay_port", ""),
        ({"address": "no address"}, "address", ""),
        ({"address": "SUPPORT@lamp.example"}, "address", ""),  # there is one already
    ],
)
def test_a_mailbox_that_could_not_send_is_refused(mailbox, changes, field, words):
    usual = {
        "name": "Lamp",
        "address": "new@lamp.example",
        "way": "direct",
        "relay_port": 587,
        "relay_security": "tls",
    }

    said = faults(NewMailboxForm({**usual, **changes}))

    assert list(said) in ([field], ["__all__"])
    assert words in "".join(said.values())
    assert Mailbox.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "maya@lamp.example"}, "password"),
        ({"password": "password123"}, "password"),
        ({"time_zone": "Europe/Nowhere"}, "time_zone"),
        ({"email": "maya"}, "email"),
        ({"name": ""}, "name"),
    ],
)
def test_the_first_admin_is_asked_again_for_what_is_wrong(changes, field):
    usual = {"name": "Maya", "email": "maya@lamp.example", "password": PASSWORD, "time_zone": "Europe/Lisbon"}

    assert list(faults(WelcomeForm({**usual, **changes}))) == [field]


@pytest.mark.parametrize("address", ["", "x", "a@x.example, b@x.example", "a@x.example\nb@x.example"])
def test_another_address_is_one_address(address):
    assert list(faults(AlternativeForm({"address": address}))) == ["address"]


@pytest.mark.parametrize(
    ("when", "at", "field"),
    [("time", "", "at"), ("time", "2001-01-01T10:00", "at"), ("never", "", "when"), ("time", "x" * 33, "at")],
)
def test_a_time_that_cannot_be_is_said_at_its_field(when, at, field):
    assert list(faults(RetryForm({"when": when, "at": at}))) == [field]


def test_a_time_is_read_in_the_agents_time_zone():
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        at = (timezone.localtime() + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
        form = RetryForm({"when": "time", "at": f"{at:%Y-%m-%dT%H:%M}"})
        assert form.is_valid()

    assert form.time == at


def test_a_note_without_words_is_refused():
    assert "The note is empty" in faults(NoteForm({"body": " ", "key": uuid.uuid4()}))["body"]


# What the page does with them


def post_reply(desk, conversation, **changes):
    form = {
        "to": "ana@oldworks.example",
        "body": "It left us this morning.",
        "key": str(uuid.uuid4()),
        "seen": conversation.version,
    }
    return desk.post(reverse("replies", args=[conversation.pk]), {**form, **changes})


def test_forty_megabytes_are_refused_with_their_size_and_the_draft_keeps_the_words(desk, conversation):
    film = SimpleUploadedFile("film.mp4", b"x" * 40_000_000, content_type="video/mp4")

    response = post_reply(desk, conversation, files=film)

    page = response.content.decode()
    assert response.status_code == 422
    assert "“film.mp4” has 40.0 MB; a message may have" in page
    assert "Share a link to the file instead." in page
    assert Draft.objects.get().body == "It left us this morning."
    assert not Attachment.objects.exists()
    assert not Delivery.objects.exists()


def test_files_that_are_too_large_together_are_refused_and_the_first_is_kept(desk, conversation, settings):
    settings.MAX_MESSAGE_SIZE = 1_000_000
    files = [SimpleUploadedFile(f"{name}.pdf", b"x" * 400_000) for name in ("one", "two")]

    response = post_reply(desk, conversation, files=files)

    assert "“two.pdf” has 0.4 MB" in response.content.decode()
    assert [file.name for file in Attachment.objects.all()] == ["one.pdf"]
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "change", [{"to": "half an addr"}, {"to": ""}, {"cc": "x"}, {"to": "a@x.example, a@x.example"}]
)
def test_what_could_not_be_sent_is_kept_as_a_draft(desk, conversation, change):
    assert post_reply(desk, conversation, **change).status_code == 422

    draft = Draft.objects.get()
    assert draft.body == "It left us this morning."
    assert {name: getattr(draft, name) for name in change} == change
    assert not Part.objects.filter(kind=Part.Kind.REPLY).exists()


def test_a_misspelt_domain_is_suggested_where_it_failed(desk, conversation, reply):
    [delivery] = reply("ana@gmial.com")
    answer(delivery, NO_SUCH_USER)

    page = desk.get(reverse("conversation", args=[conversation.pk])).content.decode()

    assert "ana@gmail.com" in page


def test_a_reply_to_an_address_with_other_letters_is_queued(desk, conversation):
    response = post_reply(desk, conversation, to="renée@müller.example")

    assert response.status_code == 302
    assert Delivery.objects.get().recipient == "renée@müller.example"
