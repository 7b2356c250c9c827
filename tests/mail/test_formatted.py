"""The HTML of letters: which says more than its text, and where in it the new words end."""

from __future__ import annotations

import pytest

from telltale.mail.formatted import tells_more, without_history
from telltale.mail.letter import read_letter

GMAIL = (
    '<div dir="ltr">Thank you, it works!</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" '
    'class="gmail_attr">On Mon, 23 Nov 2026 at 09:00, Maya &lt;<a href="mailto:support@lamp.example">'
    'support@lamp.example</a>&gt; wrote:<br></div><blockquote class="gmail_quote" style="margin:0">'
    "The <b>refund</b> left us.</blockquote></div>"
)
THUNDERBIRD = (
    '<p>Thank you, it works!</p>\n<div class="moz-cite-prefix">On 23.11.26 09:00, Maya wrote:<br></div>'
    '<blockquote type="cite" cite="mid:1@lamp.example">The refund left us.</blockquote>'
)
APPLE = (
    '<html><body>Thank you, it works!<div><br><blockquote type="cite"><div>On 23 Nov 2026, at 09:00, Maya wrote:</div>'
    "<div>The refund left us.</div></blockquote></div></body></html>"
)
OUTLOOK = (
    "<div class=WordSection1><p class=MsoNormal>Thank you, it works!<o:p></o:p></p><div><div style='border:none;"
    "border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'><p class=MsoNormal><b>From:</b> Maya<br>"
    "<b>Sent:</b> Monday</p></div></div><p>The refund left us.</p></div>"
)
OUTLOOK_ON_THE_WEB = (
    '<div class="elementToProof">Thank you, it works!</div><div id="appendonsend"></div><hr>'
    '<div id="divRplyFwdMsg" dir="ltr">'
    "<b>From:</b> Maya</div><div>The refund left us.</div>"
)


@pytest.mark.parametrize("html", [GMAIL, THUNDERBIRD, APPLE, OUTLOOK, OUTLOOK_ON_THE_WEB])
def test_what_each_program_quotes_is_history(html):
    new, old = without_history(html, "Thank you, it works!")

    assert "Thank you, it works!" in new
    assert "refund" not in new
    assert "refund" in old
    assert new + old == html


def test_what_is_written_below_a_quotation_is_no_history():
    html = f"{GMAIL}<div>And one more thing.</div>"

    assert without_history(html, "Thank you, it works!\n\nAnd one more thing.") == (html, "")


def test_a_letter_that_quotes_nothing_is_all_new():
    assert without_history("<p>Hello</p>", "Hello") == ("<p>Hello</p>", "")


def test_where_nothing_new_is_known_nothing_is_hidden():
    assert without_history(GMAIL, "") == (GMAIL, "")


@pytest.mark.parametrize(
    "html",
    [
        '<p>See <img src="cid:1@lamp.example"></p>',
        "<table><tr><td>1</td></tr></table>",
        "<p>My answers are <b>bold</b>.</p>",
        '<p style="color: red">in red</p>',
        '<span style="background-color:#ffff00">marked</span>',
        "<ul><li>one</li></ul>",
    ],
)
def test_formatting_with_a_meaning_is_seen(html):
    assert tells_more(html)


@pytest.mark.parametrize(
    "html",
    [
        '<div dir="ltr">Just words</div>',
        "<html><head><style>b { color: red }</style></head><body><p>Just words</p></body></html>",
        '<p class="MsoNormal"><span style="font-family:Calibri;color:black">Just words</span></p>',
        '<a href="https://lamp.example">a link</a>',
        "<!-- <img src=x> --><p>Just words</p>",
    ],
)
def test_formatting_that_a_program_adds_by_itself_is_not(html):
    assert not tells_more(html)


# Out of the mail


def mail(*parts: str, subtype: str = "alternative") -> bytes:
    body = "".join(f"--b\r\n{part}\r\n" for part in parts)
    return (
        "From: ana@oldworks.example\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/{subtype}; boundary="b"\r\n\r\n{body}--b--\r\n'
    ).encode()


def leaf(subtype: str, text: str, more: str = "") -> str:
    return f"Content-Type: text/{subtype}; charset=utf-8\r\n{more}\r\n{text}"


def test_the_html_of_an_alternative_and_its_text_are_both_kept():
    read = read_letter(mail(leaf("plain", "Grüße"), leaf("html", "<p>Grüße</p>")))

    assert (read.text, read.html) == ("Grüße", "<p>Grüße</p>")


def test_a_picture_and_its_html_are_found_in_a_related_part():
    picture = (
        "Content-Type: image/png; name=logo.png\r\nContent-ID: <logo@oldworks.example>\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo="
    )
    read = read_letter(
        mail(leaf("html", '<img src="cid:logo@oldworks.example">'), picture, subtype="related")
    )

    assert read.html == '<img src="cid:logo@oldworks.example">'
    assert [file.content_id for file in read.files] == ["logo@oldworks.example"]


def test_html_in_pieces_around_a_file_is_put_together_and_plain_pieces_are_escaped():
    read = read_letter(mail(leaf("html", "<p>one</p>"), leaf("plain", "<two>"), subtype="mixed"))

    assert read.html == '<p>one</p>\n<div style="white-space: pre-wrap">&lt;two&gt;</div>'


def test_an_attached_page_is_no_part_of_the_letter():
    attached = leaf("html", "<p>a page</p>", "Content-Disposition: attachment; filename=page.html\r\n")
    assert read_letter(mail(leaf("plain", "see file"), attached, subtype="mixed")).html == ""


def test_html_without_end_is_left_to_the_mail_as_it_came():
    assert read_letter(mail(leaf("html", "<b>x</b>" * 300_000))).html == ""


def test_a_hostile_tag_takes_no_time(every_reading_ends):
    for html in (
        "<a " * 300_000,
        "<div class='" * 100_000,
        "class=" * 300_000,
        "<style>" * 200_000,
        "<!--" * 200_000,
    ):
        tells_more(html)
        without_history(html, "x")
