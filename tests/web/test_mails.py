"""A mail as it came, shown and handed out: text of strangers that must stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse

from telltale.conversations.models import Attachment, Part, RawMail
from tests.delivery.test_queue import answer
from tests.inbound.mails import MAILBOX, letter, report_on, way_back
from tests.inbound.test_reading import ACCEPTED, WITH_A_FILE, take

HOSTILE = letter(body="<script>alert(1)</script>\0\x1b[2J \xff", more="X-Trap: </pre><img src=x>\r\n")


def url(name: str, mail: RawMail) -> str:
    return reverse(name, args=[mail.pk])


def test_every_header_and_line_of_a_message_is_one_click_away(desk, conversation):
    mail = take(HOSTILE, to=MAILBOX)
    page = desk.get(reverse("conversation", args=[Part.objects.get(raw_mail=mail).conversation_id]))
    assert url("mail", mail) in page.content.decode()

    shown = desk.get(url("mail", mail)).content.decode()

    assert "X-Trap: &lt;/pre&gt;&lt;img src=x&gt;" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u0000\\u001b[2J" in shown
    assert "<script>alert" not in shown
    assert "\0" not in shown


def test_what_would_turn_the_reading_direction_round_is_shown_as_what_it_is(desk, conversation):
    mail = take(letter(more="X-File: lamp\u202egnp.exe\r\n"), to=MAILBOX)

    assert "lamp\\u202egnp.exe" in desk.get(url("mail", mail)).content.decode()


def test_the_report_behind_a_note_is_shown_as_it_came(desk, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, ACCEPTED)
    mail = take(report_on(delivery), to=way_back(delivery))

    page = desk.get(reverse("conversation", args=[conversation.pk])).content.decode()
    shown = desk.get(url("mail", mail)).content.decode()

    assert url("mail", mail) in page
    assert reverse("conversation", args=[conversation.pk]) in shown
    assert "Final-Recipient: rfc822; ana@oldworks.example" in shown
    assert "the empty return path" in shown


def test_a_large_mail_is_shown_in_part_and_downloaded_whole(desk, conversation):
    content = letter(body="x" * 300_000)
    mail = take(content, to=MAILBOX)

    assert "The download has all of it" in desk.get(url("mail", mail)).content.decode()
    response = desk.get(url("mail-download", mail))
    assert b"".join(response.streaming_content) == content
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"] == f'attachment; filename="mail-{mail.pk}.eml"'


def test_a_mail_whose_file_is_lost_says_so(desk, conversation):
    mail = take(letter(), to=MAILBOX)
    Path(mail.content.path).unlink()

    response = desk.get(url("mail", mail))

    assert response.status_code == 500
    assert "cannot be read any more" in response.content.decode()
    assert "Download it" not in response.content.decode()


def test_a_customers_file_is_listed_with_the_message_and_comes_as_a_download(desk, conversation):
    take(letter(body="", more=WITH_A_FILE), to=MAILBOX)
    file = Attachment.objects.get()

    page = desk.get(reverse("conversation", args=[file.part.conversation_id])).content.decode()
    response = desk.get(reverse("attachment", args=[file.pk]))

    assert "lamp.png</a>" in page
    assert b"".join(response.streaming_content) == b"picture"
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("name", ["mail", "mail-download"])
def test_strangers_are_sent_to_sign_in(client, agent, conversation, name: str):
    mail = take(letter(), to=MAILBOX)

    response = client.get(url(name, mail))

    assert response.status_code == 302
    assert response.headers["Location"].startswith(reverse("sign-in"))


def test_quoted_history_is_folded_in_an_answer_and_stays_there(desk, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    body = "It works.\r\n\r\nOn Monday 23 November Maya wrote:\r\n> Does it work?\r\n"
    part = Part.objects.get(raw_mail=take(letter(answers=delivery.message.message_id, body=body), to=MAILBOX))

    shown = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()

    new, _, old = shown.partition('<details class="history">')
    assert "<p>It works.</p>" in new
    assert "Does it work?" in old.partition("</details>")[0]


def test_the_first_letter_of_a_conversation_is_shown_whole(desk, conversation):
    part = Part.objects.get(raw_mail=take(letter(body="See this.\r\n\r\n> It broke.\r\n"), to=MAILBOX))

    shown = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()

    assert "It broke." in shown
    assert 'class="history"' not in shown
