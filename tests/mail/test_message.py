"""The mail as it leaves: built by us, taken apart again by the standard library."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

import pytest

from telltale.mail.message import AttachedFile, InlineImage, Mail, compose, new_message_id, reply_subject

DATE = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
LONG_ID = "<AM0PR04MB1234567890ABCDEF1234567890@AM0PR04MB1234.eurprd04.prod.outlook.example>"  # 83 octets


def octets(**changes: Any) -> bytes:
    usual: dict[str, Any] = {
        "sender": ("Maya, Lamp & Co", "support@lamp.example"),
        "to": [("Ana Ribeiro", "ana@oldworks.example")],
        "cc": [],
        "subject": "Your refund",
        "text": "It left us this morning.",
        "message_id": "<1@lamp.example>",
        "date": DATE,
    }
    return compose(Mail(**{**usual, **changes}))


def parsed(**changes: Any) -> EmailMessage:
    message = message_from_bytes(octets(**changes), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def decoded(words: str) -> str:
    """Encoded words as RFC 2047 has them read: each must make sense by itself."""
    return str(make_header(decode_header(words)))


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body
    return str(body.get_content())


def file_of(message: EmailMessage) -> EmailMessage:
    [file] = message.iter_attachments()
    assert isinstance(file, EmailMessage)
    return file


def test_a_mail_has_every_header_that_a_reader_needs():
    mail = parsed(
        cc=[("", "finance@ribeiro.example")],
        in_reply_to="<first@oldworks.example>",
        references=["<first@oldworks.example>", "<second@lamp.example>"],
    )

    assert mail["From"] == '"Maya, Lamp & Co" <support@lamp.example>'
    assert mail["To"] == "Ana Ribeiro <ana@oldworks.example>"
    assert mail["Cc"] == "finance@ribeiro.example"
    assert mail["Subject"] == "Your refund"
    assert parsedate_to_datetime(mail["Date"]) == DATE
    assert mail["Message-ID"] == "<1@lamp.example>"
    assert mail["In-Reply-To"] == "<first@oldworks.example>"
    assert mail["References"].split() == ["<first@oldworks.example>", "<second@lamp.example>"]
    assert mail["MIME-Version"] == "1.0"
    assert mail["Bcc"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Hi\r\nBcc: all@evil.example"},
        {"subject": "Hi\nBcc: all@evil.example"},
        {"subject": "Hi\rBcc: all@evil.example"},
        {"sender": ("Maya\r\nBcc: all@evil.example", "support@lamp.example")},
        {"to": [("Ana\nBcc: all@evil.example", "ana@oldworks.example")]},
        {"to": [("", "ana@oldworks.example\r\nBcc: all@evil.example")]},
        {"cc": [("", "ana@oldworks.example\nBcc: all@evil.example")]},
        {"message_id": "<1@lamp.example>\r\nBcc: all@evil.example"},
        {"attachments": [AttachedFile("a.pdf\r\nBcc: all@evil.example", "application/pdf", b"")]},
    ],
)
def test_a_line_break_in_a_header_is_refused(changes):
    with pytest.raises(ValueError, match=r"CR or LF|linefeed|Invalid Domain"):
        octets(**changes)


@pytest.mark.parametrize(
    "name",
    [
        "Müller, Anna",
        'Anna "Bob" Müller',
        "山田太郎",
        "Ana <boss@lamp.example>",
        "a" * 200,
        "O'Neil; Smith, (Ltd.)",
        "back\\slash",
        "Größe " * 12 + "X",  # longer than a line
        "山田 太郎 " * 10 + "子",
        "Müller, Anna von der Lippe zu Hohenstein und Größenwahn aus München",
    ],
)
def test_a_name_is_read_as_it_was_written_and_never_as_an_address(name):
    to = message_from_bytes(octets(to=[(name, "ana@oldworks.example")]))["To"]

    [(read, address)] = getaddresses([to])
    assert (decoded(read), address) == (name, "ana@oldworks.example")


def test_fifty_recipients_are_all_there_in_their_order():
    people = [(f"Müller, Anna {number}", f"anna.{number}@subdomain.example") for number in range(50)]

    to = message_from_bytes(octets(to=people))["To"]

    assert [(decoded(name), address) for name, address in getaddresses([to])] == people


@pytest.mark.parametrize(
    "subject", ["Grüße 😀", "Ü😀" * 120, "x" * 900, "wörter " * 30 + "Ende", "Re: plain words " * 20 + "ö"]
)
def test_a_subject_is_read_as_it_was_written(subject):
    assert decoded(message_from_bytes(octets(subject=subject))["Subject"]) == subject


@pytest.mark.parametrize(
    ("domain", "on_the_wire"),
    [("müller.example", b"ana@xn--mller-kva.example"), ("straße.example", b"ana@xn--strae-oqa.example")],
)
def test_a_domain_with_other_letters_leaves_in_its_a_labels(domain, on_the_wire):
    content = octets(to=[("", f"ana@{domain}")])

    assert on_the_wire in content
    assert content.isascii()


def test_only_a_local_part_with_other_letters_brings_utf8_into_the_header():
    content = octets(to=[("Ana Ribeiro", "renée@oldworks.example")])

    assert "To: Ana Ribeiro <renée@oldworks.example>\r\n".encode() in content


@pytest.mark.parametrize("header", ["Message-ID", "In-Reply-To", "References"])
def test_an_id_longer_than_a_line_stays_an_id(header):
    """As encoded words, which `email` would make of it, no reader finds the thread."""
    content = octets(message_id=LONG_ID, in_reply_to=LONG_ID, references=["<1@x.example>", LONG_ID])

    assert message_from_bytes(content)[header].split()[-1] == LONG_ID


def test_of_a_long_thread_the_first_and_the_newest_references_are_kept():
    ids = [f"<{number}@oldworks.example>" for number in range(100)]

    assert parsed(references=ids)["References"].split() == [ids[0], *ids[-19:]]


@pytest.mark.parametrize("strange", ["<é@x.example>", "<a\x01@x.example>", "<" + "a" * 900 + "@x>", "no id"])
def test_an_id_that_no_header_can_hold_is_left_out_and_the_mail_leaves(strange):
    mail = parsed(in_reply_to=strange, references=[strange, "<2@x.example>"])

    assert mail["In-Reply-To"] is None
    assert mail["References"] == "<2@x.example>"


def test_no_two_mails_have_the_same_id_and_each_is_ascii():
    first, second = new_message_id("lamp.example"), new_message_id("lämp.example")

    assert first != second
    assert re.fullmatch(r"<[0-9a-f-]{36}@lamp\.example>", first)
    assert second.endswith("@xn--lmp-qla.example>")


@pytest.mark.parametrize(
    "text",
    [
        "Grüße, 😀",
        "From here on it works\nFrom there too",
        ".\n.. a dot alone in its line\n.",
        "  indented, with blanks at the end  \n\ttab\t",
        "= and =3D and =\nall stay",
        "x" * 5_000,
        "wörd " * 2_000,
        "one\n\n\n\nfour lines below",
        "",
    ],
)
def test_the_text_is_read_as_it_was_written(text):
    assert text_of(parsed(text=text)).replace("\r\n", "\n").removesuffix("\n") == text


def test_line_ends_of_every_kind_become_crlf():
    assert text_of(parsed(text="one\r\ntwo\nthree\rfour")).split() == ["one", "two", "three", "four"]
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", octets(text="one\r\ntwo\nthree\rfour"))


def test_every_server_can_carry_it():
    """7-bit, CRLF, no line above 76 octets where lines are encoded: RFC 5321 4.5.3.1.6, RFC 2045 6.7."""
    content = octets(
        to=[("Müller, Anna", "anna@oldworks.example")] * 40,
        subject="Ü😀" * 200,
        text="ö" * 3_000 + "\n" + "x" * 3_000,
        references=[LONG_ID] * 30,
        attachments=[AttachedFile("é" * 255, "application/pdf", bytes(range(256)) * 100)],
    )

    lines = content.split(b"\r\n")
    assert content.isascii()
    assert max(len(line) for line in lines if b"@" not in line) <= 76
    assert max(map(len, lines)) <= 998


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        'q"u\\o;te.txt',
        "\u202egpj.exe",
        "Rechnung für März.pdf",
        "é" * 255,
        "a=b; filename=c.exe",
        "?utf-8?q?a?=.txt",
    ],
)
def test_what_a_file_calls_itself_stays_a_name(name):
    """Which names are dangerous the reader must know: a changed name would be another file to a person."""
    file = file_of(parsed(attachments=[AttachedFile(name, "application/pdf", b"%PDF")]))

    assert file.get_filename() == name
    assert file.get_content_disposition() == "attachment"
    assert file.get_content() == b"%PDF"


@pytest.mark.parametrize(
    ("content_type", "sent_as"),
    [
        ("image/png", "image/png"),
        ("application/vnd.ms-excel.sheet+xml", "application/vnd.ms-excel.sheet+xml"),
        ("text/plain", "text/plain"),
        ("message/rfc822", "application/octet-stream"),  # what a browser calls a chosen .eml
        ("message/delivery-status", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("image/png\r\nBcc: all@evil.example", "application/octet-stream"),
        ("image/png; name=x", "application/octet-stream"),
    ],
)
def test_every_octet_of_a_file_arrives_whatever_its_type(content_type, sent_as):
    content = b"Subject: a mail\r\n\r\n--boundary\r\n" + bytes(range(256))

    file = file_of(parsed(attachments=[AttachedFile("a", content_type, content)]))

    arrived = file.get_payload(decode=True)
    assert file.get_content_type() == sent_as
    assert arrived == content
    assert not file.defects


def test_a_file_without_a_name_gets_one():
    assert file_of(parsed(attachments=[AttachedFile("", "image/png", b"x")])).get_filename() == "attachment"


def test_several_files_keep_their_order_and_the_text_stays_the_text():
    mail = parsed(attachments=[AttachedFile(f"{number}.txt", "text/plain", b"file") for number in range(3)])

    assert [file.get_filename() for file in mail.iter_attachments()] == ["0.txt", "1.txt", "2.txt"]
    assert text_of(mail).strip() == "It left us this morning."


@pytest.mark.parametrize(
    ("subject", "answer"),
    [("Refund", "Re: Refund"), ("Re: Refund", "Re: Refund"), ("RE: Refund", "RE: Refund"), ("", "Re:")],
)
def test_the_subject_of_an_answer_says_so_once(subject, answer):
    assert reply_subject(subject) == answer


# HTML


PICTURE = InlineImage("logo.png", "image/png", b"\x89PNG\r\n\x1a\n", "logo@lamp.example")


def test_the_same_words_in_html_are_the_better_alternative():
    mail = parsed(text="See <b>\n", html="<p>See &lt;b&gt; é</p>\n")

    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert text_of(mail).strip() == "See <b>"
    html = mail.get_body(("html",))
    assert html
    assert html.get_content().strip() == "<p>See &lt;b&gt; é</p>"


def test_pictures_belong_to_the_html_and_files_to_the_mail():
    mail = parsed(
        html='<img src="cid:logo@lamp.example">',
        inline=[PICTURE],
        attachments=[AttachedFile("a.pdf", "application/pdf", b"%PDF")],
    )

    assert mail.get_content_type() == "multipart/mixed"
    assert file_of(mail).get_filename() == "a.pdf"
    related = next(part for part in mail.walk() if part.get_content_type() == "multipart/related")
    [html, picture] = related.iter_parts()
    assert html.get_content_type() == "text/html"
    assert picture["Content-ID"] == "<logo@lamp.example>"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_content() == PICTURE.content


def test_html_with_letters_of_the_world_and_long_lines_stays_within_7_bits_and_998_octets():
    raw = octets(html="<p>" + "é" * 3_000 + "</p>", inline=[PICTURE])

    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("content_id", ["x>\r\nBcc: all@evil.example", "x\nBcc: all@evil.example"])
def test_a_content_id_cannot_add_a_header(content_id):
    with pytest.raises(ValueError, match="line"):
        octets(html="<p>", inline=[InlineImage("a", "image/png", b"", content_id)])


# Where answers go, and who wrote it


def test_answers_go_to_the_reply_address_under_the_name_of_the_sender():
    mail = parsed(reply_to="support+c-1-abc@lamp.example")

    assert mail["Reply-To"] == '"Maya, Lamp & Co" <support+c-1-abc@lamp.example>'


def test_a_mail_of_a_person_has_no_reply_to_and_calls_itself_nothing():
    assert parsed()["Reply-To"] is None
    assert parsed()["Auto-Submitted"] is None


def test_what_no_person_wrote_says_so():
    assert parsed(auto_submitted="auto-generated")["Auto-Submitted"] == "auto-generated"
