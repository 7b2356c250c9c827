"""Taking a mail apart: fields, parts, octets; also where its writer did not know how."""

from __future__ import annotations

import pytest

from telltale.mail.mime import DEEPEST, MOST_PARTS, parse, walk

MIXED = (
    b"Subject: Your\n refund\nReceived: one\nReceived: two\n"
    b'Content-Type: multipart/mixed;\n boundary="B"\n\nFor old programs.\n'
    b"--B\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\nSMO8cmdlbg==\n"
    b"--B\nContent-Type: message/rfc822\n\n"
    b"Subject: Inner\nContent-Type: multipart/mixed; boundary=C\n\n--C\n\nx\n--C--\n"
    b"--B--\nFor nobody.\n"
)


def types(raw: bytes) -> list[str]:
    return [part.content_type for part in walk(parse(raw))]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_mail_has_its_fields_and_its_parts(line_end):
    mail = parse(MIXED.replace(b"\n", line_end))
    [_, text, enclosed] = walk(mail)

    assert mail.header("subject") == "Your refund"
    assert mail.headers("received") == ["one", "two"]
    assert mail.header("no-such") == ""
    assert text.text(1000).strip() == "Hürgen"
    assert enclosed.enclosed(1000).header("subject") == "Inner"


def test_an_enclosed_mail_stays_closed():
    assert types(MIXED) == ["multipart/mixed", "text/plain", "message/rfc822"]


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"Content-Type: TEXT/HTML; charset=x", "text/html"),
        (b"Content-Type: nonsense", "text/plain"),  # RFC 2045 section 5.2
        (b"X: y", "text/plain"),
        (b"Content-Type:text/html", "text/html"),
    ],
)
def test_a_part_without_a_sane_type_is_text(header, kind):
    assert types(header + b"\n\nx") == [kind]


@pytest.mark.parametrize(
    ("parameters", "boundary"),
    [
        (b'boundary="a b"', "a b"),
        (b"boundary=a; x=y", "a"),
        (b"x=y;\n boundary=a", "a"),
        (b"boundary*0=a; boundary*1=b", "ab"),  # RFC 2231 section 3
        (b'boundary="unclosed', "unclosed"),
    ],
)
def test_a_boundary_is_read_as_mail_programs_write_it(parameters, boundary):
    assert parse(b"Content-Type: multipart/mixed; " + parameters + b"\n\n").parameters["boundary"] == boundary


@pytest.mark.parametrize(
    ("change", "oddity"),
    [
        (lambda raw: raw.replace(b'boundary="B"', b'boundary="X"'), "not that of the parts"),
        (lambda raw: raw.replace(b';\n boundary="B"', b""), "not that of the parts"),
        (lambda raw: raw.replace(b"--B--\nFor nobody.\n", b""), "does not end"),
    ],
    ids=["another boundary", "no boundary", "no end"],
)
def test_parts_are_found_where_the_structure_is_broken_and_that_is_told(change, oddity):
    mail = parse(change(MIXED))

    assert [part.content_type for part in walk(mail)][:3] == [
        "multipart/mixed",
        "text/plain",
        "message/rfc822",
    ]
    assert any(oddity in told for told in mail.oddities)


def test_one_boundary_may_begin_with_another():
    raw = (
        b"Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: multipart/alternative; boundary=BB\n\n"
        b"--BB\n\none\n--BB\n\ntwo\n--BB--\n--B\n\nthree\n--B--\n"
    )

    assert [part.text(100).strip() for part in walk(parse(raw)) if part.content_type == "text/plain"] == [
        "one",
        "two",
        "three",
    ]


def test_a_header_ends_where_a_line_is_no_field():
    mail = parse(b"Subject: x\nHello there\n\nbody")

    assert mail.header("subject") == "x"
    assert mail.text(100) == "Hello there\n\nbody"


@pytest.mark.parametrize(
    "front", [b"\n\n", b"From ana@lamp.example Mon Nov  2 10:00:00 2026\n", b" \r\n\r\n"]
)
def test_what_mailboxes_put_in_front_of_a_header_does_no_harm(front):
    assert parse(front + b"Subject: x\n\nbody").header("subject") == "x"


def test_octets_that_are_no_utf_8_stand_as_escapes_in_a_field():
    assert parse(b"Subject: bo\xeete\n\n").header("subject") == r"bo\xeete"


def test_parts_and_depth_have_bounds():
    many = b"Content-Type: multipart/mixed; boundary=B\n\n" + b"--B\n\nx\n" * 1000
    deep = b"Content-Type: multipart/mixed; boundary=0\n\n" + b"".join(
        b"--%d\nContent-Type: multipart/mixed; boundary=%d\n\n" % (n, n + 1) for n in range(100)
    )

    assert len(types(many)) == MOST_PARTS
    assert len(types(deep)) <= DEEPEST + 1
