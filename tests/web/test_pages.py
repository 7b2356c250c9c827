"""The pages and their forms, by asking as a browser does; without JavaScript unless a test says htmx."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from telltale.accounts.links import sign_in_path
from telltale.accounts.models import Agent
from telltale.conversations.actions import add_customer_message
from telltale.conversations.models import Attachment, Conversation, Draft, Mailbox, Part
from telltale.delivery import claims, queue
from telltale.delivery.models import Delivery, DeliveryNote
from telltale.web.parts import parts_for_page
from tests.conftest import answered
from tests.delivery.test_queue import GREYLISTED, NO_SUCH_USER, answer

HTMX = {"HX-Request": "true"}
PASSWORD = "correct horse battery"


@pytest.fixture
def form(conversation):
    """What the composer sends."""
    return {
        "to": "ana@oldworks.example",
        "cc": "",
        "bcc": "",
        "body": "It left us this morning.",
        "key": str(uuid.uuid4()),
        "seen": conversation.version,
    }


def url(name: str, conversation: Conversation) -> str:
    return reverse(name, args=[conversation.pk])


@pytest.fixture
def failed(reply) -> Delivery:
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, NO_SUCH_USER, host="mx.google.sandbox.test")
    return delivery


def sent_content() -> bytes:
    with Delivery.objects.get().message.content.open("rb") as file:
        return file.read()


def test_a_reply_is_queued_for_each_address(desk, conversation, form):
    form |= {"to": "Ana <ana@oldworks.example>; finance@ribeiro.example", "bcc": "boss@lamp.example"}

    response = desk.post(url("replies", conversation), form)

    assert response.status_code == 302
    page = desk.get(response.url).content.decode()
    assert [delivery.recipient for delivery in Delivery.objects.all()] == [
        "ana@oldworks.example",
        "finance@ribeiro.example",
        "boss@lamp.example",
    ]
    assert page.count("queued") == 3
    assert "accepted" not in page


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"to": "ana at oldworks"}, "ana at oldworks"),
        ({"to": ""}, "Say who should get this"),
        ({"body": "   "}, "The reply is empty"),
        ({"cc": "ANA@oldworks.example"}, "is named twice (To and Cc)"),
        ({"to": "ana@oldworks.example\r\nBcc: all@evil.example"}, "Bcc: all@evil.example"),
        ({"to": "ana@oldworks.example\0"}, "To"),
        ({"key": "x"}, "reload the page"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(desk, conversation, form, change, words):
    form |= change

    response = desk.post(url("replies", conversation), form)

    page = response.content.decode()
    assert response.status_code == 422
    assert words in page
    assert not Delivery.objects.exists()
    if form["body"].strip():
        assert form["body"] in page


def test_a_second_click_sends_nothing(desk, conversation, form):
    for _ in range(2):
        assert desk.post(url("replies", conversation), form).status_code == 302

    assert Delivery.objects.count() == 1


def test_a_stale_page_asks_before_it_sends(desk, conversation, form):
    add_customer_message(conversation, from_address="ana@oldworks.example", body="Found it!")

    response = desk.post(url("replies", conversation), form)
    assert response.status_code == 422
    assert "Ana Ribeiro wrote here while you were writing" in response.content.decode()
    assert not Delivery.objects.exists()

    desk.post(url("replies", conversation), form | {"anyway": "1"})
    assert Delivery.objects.count() == 1


def test_a_file_that_is_too_large_is_refused_at_its_field_and_the_words_are_kept(
    desk, conversation, form, settings
):
    settings.MAX_MESSAGE_SIZE = 1_000_000
    large = SimpleUploadedFile("film.mp4", b"x" * 800_000)

    response = desk.post(url("replies", conversation), form | {"files": large})

    page = response.content.decode()
    assert response.status_code == 422
    assert "“film.mp4” has 0.8 MB; a message may have 0.8 MB of files in all" in page.replace("&quot;", '"')
    assert form["body"] in page
    assert not Delivery.objects.exists()


def test_a_file_goes_with_the_reply(desk, conversation, form):
    file = SimpleUploadedFile("../../invoice.pdf", b"%PDF-1.7", content_type="application/pdf")

    desk.post(url("replies", conversation), form | {"files": file})

    mail = sent_content()
    assert b'filename="invoice.pdf"' in mail
    assert Attachment.objects.get().part.kind == Part.Kind.REPLY


def test_a_download_never_runs_in_the_browser(desk, conversation, form):
    file = SimpleUploadedFile("x.html", b"<script>alert(1)</script>", content_type="text/html")
    desk.post(url("attachments", conversation), form | {"files": file})

    response = desk.get(reverse("attachment", args=[Attachment.objects.get().pk]))

    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment")
    assert "sandbox" in response["Content-Security-Policy"]
    response.close()


def test_what_is_typed_is_kept_as_a_draft_and_comes_back(desk, conversation, form):
    desk.post(url("draft", conversation), form | {"to": "half an addr"}, headers=HTMX)

    page = desk.get(url("conversation", conversation)).content.decode()
    assert 'value="half an addr"' in page
    assert "It left us this morning." in page
    assert form["key"] in page


def test_a_late_draft_does_not_bring_a_sent_reply_back(desk, conversation, form):
    desk.post(url("replies", conversation), form)

    desk.post(url("draft", conversation), form, headers=HTMX)

    assert not Draft.objects.exists()


def test_the_note_shows_the_words_whole_and_as_text(desk, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, "550 5.1.1 <script>alert('no')</script> & \"quotes\"\r\n")

    page = desk.get(url("conversation", conversation)).content.decode()

    assert "Your reply did not reach <b>ana@oldworks.example</b>" in page
    assert "<mark>550 5.1.1</mark> &lt;script&gt;alert(&#x27;no&#x27;)&lt;/script&gt;" in page
    assert "&amp; &quot;quotes&quot;" in page
    assert "<script>alert" not in page


def test_a_colleague_reads_whose_reply_it_was(client, colleague, conversation, failed):
    client.force_login(colleague)

    assert "Maya’s reply did not reach" in client.get(url("conversation", conversation)).content.decode()


def test_the_changes_hold_the_new_note_and_the_changed_chip(desk, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    conversation.refresh_from_db()
    since = conversation.version
    answer(delivery, NO_SUCH_USER)

    changes = desk.get(url("changes", conversation), {"since": since}).content.decode()

    assert 'hx-swap-oob="beforeend:#parts"' in changes
    assert f'id="part-{DeliveryNote.objects.get().pk}"' in changes
    assert "550-5.1.1" in changes
    assert "Could you check?" not in changes  # an old part that has not changed
    conversation.refresh_from_db()
    assert f'name="since" value="{conversation.version}"' in changes


def test_a_part_that_comes_while_a_page_is_drawn_comes_once(agent, conversation):
    read_before = Conversation.objects.get(pk=conversation.pk)
    late = add_customer_message(conversation, from_address="ana@oldworks.example", body="Found it!")

    assert late not in [shown.part for shown in parts_for_page(read_before, viewer=agent)]

    read_after = Conversation.objects.get(pk=conversation.pk)
    newer = parts_for_page(read_after, viewer=agent, since=read_before.version)
    assert [shown.part for shown in newer] == [late]


def test_a_note_says_what_became_of_the_others_and_is_sent_again_when_that_changes(desk, conversation, reply):
    failing, waiting = reply("ana@oldworks.example", "finance@ribeiro.example")
    first, second = claims.claim(uuid.uuid4(), most=10, lease=timedelta(seconds=20))
    queue.record_result(first.attempt_id, answered(NO_SUCH_USER, recipient=failing.recipient))
    conversation.refresh_from_db()

    queue.record_result(second.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=waiting.recipient))

    newer = desk.get(url("changes", conversation), {"since": conversation.version}).content.decode()
    assert "did not reach <b>ana@oldworks.example</b>" in newer
    assert "finance@ribeiro.example was accepted" in newer


def test_there_is_nothing_new_after_the_newest_version(desk, conversation, failed):
    conversation.refresh_from_db()

    changes = desk.get(url("changes", conversation), {"since": conversation.version}).content.decode()

    assert 'class="part' not in changes
    assert 'class="failure' not in changes


def test_each_way_out_of_the_note_works_without_javascript(desk, conversation, failed):
    page = desk.get(url("conversation", conversation)).content.decode()
    assert "Send to ana.ribeiro@gmail.example" in page

    desk.post(reverse("alternatives", args=[failed.pk]), {"address": "ana.ribeiro@gmail.example"})

    page = desk.get(url("conversation", conversation)).content.decode()
    assert "sent to another address by Maya" in page
    assert Delivery.objects.filter(recipient="ana.ribeiro@gmail.example", replaces=failed).exists()


@pytest.mark.parametrize(
    ("name", "data", "closed"),
    [
        ("attempts", {"when": "now"}, "retried"),
        ("attempts", {"when": "hour"}, "retried"),
        ("attempts", {"when": "tomorrow"}, "retried"),
        ("attempts", {"when": "time", "at": "2099-01-01T09:00"}, None),  # too far away
        ("attempts", {"when": "time", "at": "yesterday"}, None),
        ("alternatives", {"address": "nobody"}, None),
        ("alternatives", {"address": "a@x.example, b@x.example"}, None),
        ("alternatives", {"address": "other@x.example"}, "redirected"),
        ("cancellation", {}, None),  # it has failed: there is nothing to cancel
    ],
)
def test_an_action_on_the_note_does_its_work_or_says_why_not(desk, failed, name, data, closed):
    response = desk.post(reverse(name, args=[failed.pk]), data, headers=HTMX)

    note = DeliveryNote.objects.get()
    if closed:
        assert (response.status_code, response["HX-Trigger"]) == (204, "changed")
        assert note.closed_how == closed
    else:
        assert response.status_code == 422
        assert response.content.decode().strip()
        assert note.closed_at is None


def test_marking_as_handled_settles_the_note(desk, failed):
    desk.post(reverse("handling", args=[DeliveryNote.objects.get().pk]), headers=HTMX)

    assert DeliveryNote.objects.get().closed_how == "handled"


def test_the_list_says_what_was_not_delivered(desk, conversation, failed):
    for view in ("open", "failed"):
        page = desk.get(reverse("view", args=[view])).content.decode()
        assert "Not delivered to ana@oldworks.example" in page
    assert "Not delivered <b>1</b>" in page


def test_the_list_says_what_is_delayed_and_when_the_next_try_is(desk, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, GREYLISTED)

    page = desk.get(reverse("view", args=["delayed"])).content.decode()

    assert "Delayed to ana@oldworks.example" in page
    assert "Next try <time" in page


def test_the_transcript_is_one_click_away(desk, failed):
    response = desk.get(reverse("transcript", args=[failed.attempts.get().pk]))

    assert "550-5.1.1 The email account" in response.content.decode()


def test_the_number_of_queries_of_a_page_does_not_grow_with_its_parts(
    desk, conversation, reply, django_assert_max_num_queries
):
    for number in range(8):
        [delivery] = reply(f"ana-{number}@oldworks.example")
        answer(delivery, NO_SUCH_USER)

    with django_assert_max_num_queries(24):
        desk.get(url("conversation", conversation))
    conversation.refresh_from_db()
    with django_assert_max_num_queries(11):
        desk.get(url("changes", conversation), {"since": conversation.version - 1})


def test_a_conversation_can_be_begun(desk, mailbox):
    form = {
        "mailbox": mailbox.pk,
        "subject": "Your lamp",
        "to": "new@ribeiro.example",
        "body": "It is ready.",
        "key": str(uuid.uuid4()),
    }

    response = desk.post(reverse("new-conversation"), form)

    part = Part.objects.get(kind=Part.Kind.REPLY)
    assert response.url == url("conversation", part.conversation)
    assert b"Subject: Your lamp" in sent_content()


def test_a_subject_with_a_line_break_is_refused(desk, mailbox):
    form = {"mailbox": mailbox.pk, "subject": "Hi\nBcc: all@evil.example", "to": "a@x.example", "body": "b"}

    response = desk.post(reverse("new-conversation"), form | {"key": str(uuid.uuid4())})

    assert response.status_code == 422
    assert "A subject is one line of text" in response.content.decode()


def test_a_new_desk_leads_to_its_first_admin_and_mailbox(client, db):
    assert client.get("/").url == reverse("welcome")

    answered = client.post(
        reverse("welcome"),
        {"name": "Maya", "email": "maya@lamp.example", "password": PASSWORD, "time_zone": "Europe/Lisbon"},
    )
    assert answered.url == reverse("new-mailbox")
    client.post(
        reverse("new-mailbox"),
        {
            "name": "Lamp",
            "address": "support@lamp.example",
            "way": "direct",
            "relay_port": 587,
            "relay_security": "tls",
        },
    )

    assert Agent.objects.get().is_admin
    assert Mailbox.objects.get().address == "support@lamp.example"
    assert client.get("/").url == reverse("view", args=["open"])


def test_an_empty_desk_says_how_mail_gets_there(desk, mailbox):
    page = desk.get(reverse("view", args=["open"])).content.decode()

    assert "No mail has come yet" in page
    assert mailbox.address in page
    assert str(settings.ENVIRONMENT.smtp_listen) in page


def test_a_desk_with_conversations_says_nothing_of_first_steps(desk, conversation):
    assert "No mail has come yet" not in desk.get(reverse("view", args=["open"])).content.decode()


def test_the_welcome_page_is_closed_once_there_is_an_agent(client, agent):
    client.post(reverse("welcome"), {"name": "Eve", "email": "eve@x.example", "password": PASSWORD})

    assert not Agent.objects.filter(name="Eve").exists()


def test_a_sign_in_link_works_once(client, agent, mailbox):
    path = sign_in_path(agent)

    assert client.get(path).url == reverse("inbox")
    assert client.get(reverse("inbox")).status_code == 302
    client.logout()
    assert client.get(path).url == reverse("sign-in")


@pytest.mark.parametrize("path", ["/inbox/open/", "/conversations/1/", "/sandbox/", "/attempts/1/transcript"])
def test_a_stranger_sees_nothing(client, agent, path):
    assert client.get(path).url.startswith(reverse("sign-in"))


def test_every_page_forbids_what_is_inline_or_foreign(desk, conversation):
    policy = desk.get(url("conversation", conversation))["Content-Security-Policy"]

    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
