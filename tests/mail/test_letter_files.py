"""The files that come with a letter: whatever they are called, whatever they hold."""

from __future__ import annotations

from base64 import b64encode

import pytest

from telltale.mail.letter import read_letter
from telltale.mail.letter_files import LONGEST_NAME, MOST_FILES, LetterFile, safe_name

HEADER = (
    b"From: ana@oldworks.example\r\nSubject: The lamp\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
)
WORDS = b"Content-Type: text/plain\r\n\r\nLook at this."
PICTURE = b"\x89PNG\r\n\x1a\nnot much of a picture"


def files(*parts: bytes) -> tuple[LetterFile, ...]:
    return read_letter(letter(*parts)).files


def letter(*parts: bytes) -> bytes:
    return HEADER + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def picture(disposition: bytes, content_type: bytes = b"image/png") -> bytes:
    return (
        b"Content-Type: " + content_type + b"\r\nContent-Disposition: " + disposition
        + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64encode(PICTURE)
    )  # fmt: skip


def name_of(disposition: bytes, content_type: bytes = b"image/png") -> str:
    [file] = files(WORDS, picture(disposition, content_type))
    return file.name


def test_a_file_comes_octet_for_octet_and_the_words_stay_words():
    whole = read_letter(letter(WORDS, picture(b"attachment; filename=lamp.png")))

    assert whole.files == (LetterFile("lamp.png", "image/png", PICTURE),)
    assert whole.text == "Look at this."


def test_a_letter_of_words_alone_has_no_files():
    rich = b"Content-Type: text/html\r\n\r\n<p>Look"
    assert files(WORDS, rich) == ()


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'attachment; filename="Rechnung M\xc3\xa4rz.pdf"', "Rechnung März.pdf"),
        (b'attachment; filename="=?utf-8?q?Rechnung_M=C3=A4rz.pdf?="', "Rechnung März.pdf"),
        (b"attachment; filename*=utf-8''Rechnung%20M%C3%A4rz.pdf", "Rechnung März.pdf"),
        (b"attachment; filename*0=a-long-; filename*1=name.pdf", "a-long-name.pdf"),
        (b'attachment; filename="../../etc/passwd"', "passwd"),
        (b'attachment; filename="C:\\\\Users\\\\ana\\\\lamp.png"', "lamp.png"),
        (b'attachment; filename="..."', "attachment.png"),
        (b"attachment", "attachment.png"),
        (b"inline", "attachment.png"),
    ],
)
def test_the_name_is_the_senders_as_far_as_it_can_be_one(disposition: bytes, name: str):
    assert name_of(disposition) == name


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("lamp\u202egnp.exe", "lampgnp.exe"),  # reads "lampexe.png" where the direction is turned round
        ("a\r\nSet-Cookie: x.png", "aSet-Cookie_ x.png"),
        ("a\0b.png", "ab.png"),
        ("x" * 400 + ".png", "x" * (LONGEST_NAME - 4) + ".png"),
        ("x." + "y" * 400, ("x." + "y" * 400)[:LONGEST_NAME]),
        ("/", "attachment.png"),
    ],
)
def test_what_cannot_be_seen_or_leads_elsewhere_is_no_part_of_a_name(given: str, shown: str):
    assert safe_name(given, "image/png") == shown


def test_an_enclosed_mail_is_one_file_called_by_its_subject():
    inner = b"Subject: Old / new\r\nContent-Type: text/plain\r\n\r\nfrom before"
    [file] = files(WORDS, b"Content-Type: message/rfc822\r\n\r\n" + inner)

    assert (file.name, file.content_type) == ("Old _ new.eml", "message/rfc822")
    assert b"Subject: Old / new" in file.octets
    assert b"from before" in file.octets


def test_every_group_of_a_delivery_status_that_somebody_passes_on_is_kept():
    [file] = files(
        WORDS, b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a\r\n\r\nAction: failed\r\n"
    )

    assert b"Reporting-MTA: dns; a" in file.octets
    assert b"Action: failed" in file.octets


def test_an_invitation_between_the_alternatives_is_a_file():
    inner = b"Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n" + WORDS
    inner += b"\r\n--c\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\n--c--\r\n"
    [file] = files(inner)

    assert file.content_type == "text/calendar"
    assert file.octets.startswith(b"BEGIN:VCALENDAR")


@pytest.mark.parametrize(
    "part",
    [
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Type: image/png\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin nonsense",
        b'Content-Type: a"b/c\xff\r\nContent-Disposition: attachment; filename=\xff\xfe\r\n\r\nx',
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type: message/delivery-status\r\n\r\n\xff\xfe",
        b"Content-Type: image/png; name*=nowhere'xx'%ff\r\n\r\nx",
    ],
)
def test_a_broken_file_is_still_a_file(part: bytes):
    [file] = files(WORDS, part)

    assert file.name


def test_files_beyond_all_measure_are_not_taken_out():
    assert len(files(*[picture(b"attachment; filename=a.png")] * (MOST_FILES + 20))) == MOST_FILES
