"""Formatted messages: shown as they were meant, and nothing in them runs, reaches out or looks like the desk."""

from __future__ import annotations

import re
from base64 import b64decode

import pytest
from django.urls import reverse

from telltale.conversations.actions import add_customer_message
from telltale.conversations.models import Attachment, Formatting, Part, RawMail
from telltale.mail.letter_files import LetterFile
from telltale.web import letters, remote_images

pytestmark = pytest.mark.django_db
PNG = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
REMOTE = "https://tracker.example/open.gif?who=maya"


@pytest.fixture
def write(conversation):
    """A message with this HTML, and these files."""

    def write(html: str, *files: LetterFile, text: str = "Hello") -> Part:
        return add_customer_message(
            conversation, from_address="ana@oldworks.example", body=text, html=html, files=files
        )

    return write


def frame(desk, part: Part, query: str = ""):
    return desk.get(reverse("letter", args=[part.pk]) + query)


def letter_in(desk, part: Part, query: str = "") -> str:
    """The sender's own HTML, as the frame has it."""
    page = frame(desk, part, query).content.decode()
    return re.findall(r'<div class="letter">(.*?)</div>\n', page, re.DOTALL)[0]


def test_formatting_that_tells_something_is_shown_in_a_frame_that_can_do_nothing(desk, write):
    part = write('<p>My answers are in <b style="color: red">red</b>.</p>')

    page = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()
    found = re.search(r"<iframe[^>]*>", page)
    assert found
    assert f'sandbox="{letters.SANDBOX}"' in found[0]
    assert "allow-scripts" not in found[0]
    assert letter_in(desk, part) == '<p>My answers are in <b style="color:red">red</b>.</p>'


def test_a_letter_without_formatting_stands_as_text(desk, write):
    part = write('<div dir="ltr">Hello</div>')

    assert not Formatting.objects.exists()
    page = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()
    assert "<iframe" not in page
    assert "<p>Hello</p>" in page


def test_the_frame_has_a_policy_of_its_own_and_only_the_desk_may_frame_it(desk, write):
    answer = frame(desk, write("<b>Hello</b>"))

    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "img-src 'self' data:;" in policy
    assert "sandbox allow-same-origin" in policy


def test_nobody_sees_it_who_has_not_signed_in(client, agent, write):
    part = write("<b>Hello</b>")
    for where in (
        reverse("letter", args=[part.pk]),
        letters.remote_image_url(REMOTE),
        "/attachments/1/picture",
    ):
        assert client.get(where).status_code == 302


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate onbegin=alert(1)>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href=' java&#10;script:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='cid:x'>x</a>",
    "<a href='/sign-out/'>x</a>",
    "<iframe src='https://evil.example'></iframe>",
    "<object data='https://evil.example'></object><embed src='https://evil.example'>",
    "<form action='https://evil.example'><input name=password><button>Sign in</button></form>",
    "<base href='https://evil.example'>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<style>@import 'https://evil.example/x.css'; body { background: url(https://evil.example) }</style>",
    "<p style='background: url(https://evil.example/x.png)'>x</p>",
    "<p style='background-image: url(https://evil.example/x.png)'>x</p>",
    "<p style='list-style-image: url(https://evil.example/x.png); content: url(https://evil.example)'>x</p>",
    "<p style='position: fixed; top: 0; left: 0; z-index: 9999'>x</p>",
    "<p style='behavior: url(#default#time2); -moz-binding: url(https://evil.example/x.xml)'>x</p>",
    "<p style='width: expression(alert(1))'>x</p>",
    "<p style='--x: url(https://evil.example)'>x</p>",
    "<p style='b\\61ckground-image: url(https://evil.example/x.png)'>x</p>",
    "<td background='https://evil.example/x.png'>x</td><body background='https://evil.example/x.png'>",
    "<img srcset='https://evil.example/x.png 2x' src=''>",
    "<img src='data:image/svg+xml;base64,PHN2Zz4='>",
    "<img src='data:text/html;base64,PHN2Zz4='>",
    "<img src='/conversations/1/'>",
    "<img src='file:///etc/passwd'>",
    "<picture><source srcset='https://evil.example/x.png'></picture>",
    "<video src='https://evil.example/x.mp4' poster='https://evil.example/x.png'></video>",
    "<p id=version class=button name=x>x</p>",
    "</div></div></body></html><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<xmp><script>alert(1)</script></xmp><plaintext><script>alert(1)</script>",
    "<details open ontoggle=alert(1)>x</details>",
    "<input autofocus onfocus=alert(1)>",
]
BAD = re.compile(
    r"<(?:script|style|svg|math|iframe|object|embed|form|input|button|base|meta|link|video|picture|source|template|details)\b"
    r"|\son\w+\s*=|javascript:|url\(|evil\.example|expression\(|position\s*:|z-index|srcset|background=|\b(?:id|class|name)="
    r"|href=\"(?!https?:|mailto:|tel:)|src=\"(?!/attachments/|/remote-images/|data:image/(?:png|gif|jpe?g|webp);)",
    re.IGNORECASE,
)


@pytest.mark.parametrize("html", HOSTILE)
def test_what_is_hostile_is_taken_out(desk, write, html):
    part = write(f"<b>before</b>{html}<b>after</b>")

    shown = letter_in(desk, part, "?images=1")
    remote = re.sub(r'src="/remote-images/[^"]*"', "", shown)  # fetched by the desk, see below
    assert not BAD.search(remote), remote
    assert shown.startswith("<b>before</b>")


@pytest.mark.parametrize("html", [html for html in HOSTILE if not html.startswith(("<!--", "</div>"))])
def test_what_is_hostile_cannot_leave_the_element_that_it_stands_in(desk, write, html):
    page = frame(desk, write(f"<b>x</b>{html}")).content.decode()
    assert page.count("</body>") == page.count("<body>") == 1


# Pictures


def picture(
    name: str = "logo.png", content_id: str = "logo@oldworks.example", octets: bytes = PNG
) -> LetterFile:
    return LetterFile(name, "image/png", octets, content_id)


def test_a_picture_that_came_along_is_shown_in_its_place_and_not_listed_again(desk, write):
    part = write(
        '<p>Look: <img src="cid:logo@oldworks.example" alt="Logo"></p>', picture(), picture("a.png", "a@b")
    )

    file = part.attachments.get(content_id="logo@oldworks.example")
    where = reverse("picture", args=[file.pk])
    assert letter_in(desk, part) == f'<p>Look: <img src="{where}" alt="Logo"></p>'
    answer = desk.get(where)
    assert (answer["Content-Type"], answer.content) == ("image/png", PNG)
    assert answer["X-Content-Type-Options"] == "nosniff"
    page = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()
    assert "logo.png" not in page
    assert "a.png" in page


def test_a_picture_of_another_message_is_not_shown(desk, write):
    write('<img src="cid:logo@oldworks.example">', picture())
    other = write('<b>x</b><img src="cid:logo@oldworks.example">')

    assert letter_in(desk, other) == "<b>x</b><img>"


@pytest.mark.parametrize(
    "octets", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<script>alert(1)</script>", b""]
)
def test_what_is_no_picture_is_not_shown_as_one(desk, write, octets):
    part = write('<img src="cid:logo@oldworks.example">', picture(octets=octets))

    assert desk.get(reverse("picture", args=[Attachment.objects.get(part=part).pk])).status_code == 404


def test_pictures_from_elsewhere_are_not_loaded_until_somebody_asks(desk, write):
    part = write(f'<b>Offer</b><img src="{REMOTE}" alt="Lamp"><img src="http://tracker.example/2.gif">')

    page = frame(desk, part).content.decode()
    assert "tracker.example" not in page
    assert "2 pictures from elsewhere are not loaded" in page
    assert '<img alt="Lamp">' in page
    asked = letter_in(desk, part, "?images=1")
    assert "tracker.example" not in asked
    assert asked.count('src="/remote-images/') == 2


def test_a_picture_from_elsewhere_is_fetched_by_the_desk_for_frames_of_its_own_alone(desk, monkeypatch):
    fetched = []
    monkeypatch.setattr(remote_images, "fetch", lambda address: fetched.append(address) or ("image/png", PNG))
    where = letters.remote_image_url(REMOTE)

    answer = desk.get(where)

    assert (answer["Content-Type"], answer.content, fetched) == ("image/png", PNG, [REMOTE])
    assert "private" in answer["Cache-Control"]
    assert desk.get(where[:-1] + ("a" if where[-1] != "a" else "b")).status_code == 404


def test_a_picture_that_cannot_be_fetched_is_not_there(desk):
    assert desk.get(letters.remote_image_url("http://127.0.0.1/x.png")).status_code == 404


# History, and too much


def test_quoted_history_is_folded_in_an_answer_and_not_in_a_first_letter(desk, write):
    html = '<p><b>New</b></p><div class="gmail_quote">On Monday Maya wrote:<blockquote>Old</blockquote></div>'
    text = "New\n\nOn Monday 23 Nov 2026 Maya <support@lamp.example> wrote:\n\n> Old"
    first = write(html, text=text)
    second = write(html, text=text)
    Part.objects.filter(pk=first.pk).update(first_version=1)

    assert "<details" not in frame(desk, first).content.decode()
    page = frame(desk, second).content.decode()
    assert page.index("<b>New</b>") < page.index("<details>") < page.index("<blockquote>Old")


def test_an_answer_whose_new_words_have_no_formatting_stands_as_text_whatever_it_quotes(write):
    html = '<p>New</p><div class="gmail_quote">On Monday Maya wrote:<blockquote><b>Old</b></blockquote></div>'
    write("<b>first</b>")

    part = write(html, text="New\n\nOn Monday 23 Nov 2026 Maya <support@lamp.example> wrote:\n\n> Old")

    assert not part.is_formatted


def test_formatting_without_end_is_shown_as_text_with_a_word_about_it(desk, write):
    part = write("<div>" * 30_000 + "<b>Hello</b>", text="Hello <all>")

    page = frame(desk, part).content.decode()
    assert "formatting is too large to be shown" in page
    assert "Hello &lt;all&gt;" in page


INVITATION = b"""\
BEGIN:VCALENDAR\r
METHOD:REQUEST\r
BEGIN:VEVENT\r
SUMMARY:Lamp <review>\r
DTSTART:20261207T130000Z\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_an_invitation_is_read_out_beside_its_file(desk, write):
    part = write("", LetterFile("invite.ics", "text/calendar", INVITATION))

    page = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()
    assert "Invitation: Lamp &lt;review&gt;<br>When: Monday 7 December 2026, 13:00 UTC" in page
    assert "invite.ics" in page


# Who wrote it


@pytest.mark.parametrize("outcome", ["fail", "pass", ""])
def test_a_sender_who_could_not_be_verified_is_said_to_be_one(desk, write, outcome):
    mail = RawMail.objects.create(
        door="smtp",
        rcpt_to="support@lamp.example",
        size=1,
        sender_verified=outcome,
        sender_verification="oldworks.example <b> has not signed it (DKIM)",
    )
    part = write("")
    Part.objects.filter(pk=part.pk).update(raw_mail=mail)

    page = desk.get(reverse("conversation", args=[part.conversation_id])).content.decode()

    assert ("This sender could not be verified. oldworks.example &lt;b&gt; has not" in page) == (
        outcome == "fail"
    )
