"""What holds for every mail and every reply. tests/properties.py says how to try more of them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from email.header import Header
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from telltale.bounce import Kind, read
from telltale.bounce.said import report_of
from telltale.bounce.translation import LANGUAGES
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus
from tests.bounce.promises import explained, read_and_explained
from tests.properties import examples

HERE = Path(__file__).parent
MAILS = [path.read_bytes() for path in sorted((HERE.parent / "corpus").rglob("*.eml"))]
ABOUT_AN_ADDRESS = {"user_unknown", "mailbox_disabled", "domain_not_found", "null_mx"}
BEFORE_RCPT = (Stage.CONNECT, Stage.EHLO, Stage.STARTTLS, Stage.AUTH, Stage.MAIL)
HOSTS = ("", "mx.lamp.example", "gmail-smtp-in.l.google.com", "lamp-example.mail.protection.outlook.com")


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts_in(one)


REPLIES = list(texts_in(tomllib.loads((HERE / "replies.toml").read_text(encoding="utf-8"))))

# --- Mails, as they come and as they should not ---------------------------------------------------------------------

CHARSETS = (
    "utf-7",
    "utf-16",
    "iso-2022-jp",
    "hz",
    "punycode",
    "unicode_escape",
    "zlib",
    "\xff",
    "x" * 200,
    "",
)
WRAPPERS = (
    b"Content-Type: multipart/mixed; boundary=W%d\n\n--W%d\n",
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=W%d\n\n--W%d\n",
    b"From: MAILER-DAEMON@x.example\nContent-Type: message/rfc822; x=%d%d\n\n",
)
PIECES = (
    b"\n",
    b"\n\n",
    b"\r",
    b"\0",
    b"<",
    b"@",
    b":",
    b";",
    b'"',
    b"=?utf-7?q?+2AA-?=",
    b"\xff\xfe",
    b"--",
    b"(" * 50,
)


def cut(draw: st.DrawFn, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    return raw[:at] if draw(st.booleans()) else raw[at:]


def with_lines_again(draw: st.DrawFn, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    at = draw(st.integers(0, len(lines) - 1))
    again = lines[at : at + draw(st.integers(1, 30))] * draw(st.sampled_from((2, 3, 40)))
    return b"\n".join([*lines[:at], *again, *lines[at:]])


def with_parts_swapped(draw: st.DrawFn, raw: bytes) -> bytes:
    parts = raw.split(b"\n--")
    return b"\n--".join([parts[0], *draw(st.permutations(parts[1:]))])


def with_another_boundary(draw: st.DrawFn, raw: bytes) -> bytes:
    return raw.replace(
        b"boundary=", draw(st.sampled_from((b"boundary=x", b"boundary*0=", b"boundary=\n", b"b="))), 1
    )


def with_another_charset(draw: st.DrawFn, raw: bytes) -> bytes:
    charset = draw(st.sampled_from(CHARSETS)).encode("latin-1")
    return raw.replace(b"us-ascii", charset).replace(b"utf-8", charset).replace(b"UTF-8", charset)


def with_another_encoding(draw: st.DrawFn, raw: bytes) -> bytes:
    encoding = draw(st.sampled_from((b"base64", b"quoted-printable", b"x-uuencode", b"")))
    return raw.replace(b"7bit", encoding).replace(b"8bit", encoding)


def with_a_huge_header(draw: st.DrawFn, raw: bytes) -> bytes:
    name = draw(
        st.sampled_from((b"Subject", b"From", b"To", b"References", b"Content-Type", b"X-Failed-Recipients"))
    )
    value = draw(st.sampled_from((b"a", b"<a@b.example>, ", b"=?utf-8?q?a?= ", b"; a=b", b"\n x"))) * 2_000
    return name + b": " + value + b"\n" + raw


def wrapped(draw: st.DrawFn, raw: bytes) -> bytes:
    wrapper = draw(st.sampled_from(WRAPPERS))
    return b"".join(wrapper % (n, n) for n in range(draw(st.sampled_from((1, 2, 30, 300))))) + raw


def with_pieces(draw: st.DrawFn, raw: bytes) -> bytes:
    at = draw(st.integers(0, len(raw)))
    piece = draw(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=20))
    return raw[:at] + piece * draw(st.sampled_from((1, 1, 500))) + raw[at + draw(st.integers(0, 40)) :]


def with_other_line_ends(draw: st.DrawFn, raw: bytes) -> bytes:
    return raw.replace(b"\n", draw(st.sampled_from((b"\r\n", b"\r", b"\n\n", b" \n", b"\r\r\n"))))


DAMAGES = (
    *(cut, with_lines_again, with_parts_swapped, with_another_boundary, with_another_charset),
    *(with_another_encoding, with_a_huge_header, wrapped, with_pieces, with_other_line_ends),
)


@st.composite
def damaged_mails(draw: st.DrawFn) -> bytes:
    raw = draw(st.sampled_from(MAILS))
    for damage in draw(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=4)):
        raw = damage(draw, raw)[:200_000]
    return raw


@examples(150)
@given(st.binary(max_size=3_000))
def test_any_octets_are_read(raw: bytes) -> None:
    read_and_explained(raw)


@examples(250)
@given(damaged_mails(), st.sampled_from(LANGUAGES))
def test_a_damaged_mail_is_read(raw: bytes, language: str) -> None:
    read_and_explained(raw, language=language)


FROM_A_SERVER = b"From: MAILER-DAEMON@x.example\nReturn-Path: <>\nSubject: Undelivered Mail\n"
STATUS_OF_ONE = (
    FROM_A_SERVER + b"Content-Type: multipart/report; report-type=delivery-status; boundary=B\n\n"
    b"--B\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; ana@lamp.example\nAction: failed\n"
)
FEEDBACK = b"Content-Type: multipart/report; report-type=feedback-report; boundary=B\n\n--B\n"
OF_SES = b'From: no-reply@sns.example\n\n{"notificationType":"Bounce","bounce":{"bouncedRecipients":['


def numbered(line: bytes, times: int = 2_500) -> bytes:
    return b"".join(line % number for number in range(times))


# What once broke a promise.
BROKE = {
    "a host of 300 letters": STATUS_OF_ONE + b"Remote-MTA: dns; " + b"x" * 300,
    "a time before the first one in UTC": STATUS_OF_ONE
    + b"Last-Attempt-Date: Mon, 1 Jan 0001 00:00:00 +1400",
    "a time behind the last one in UTC": STATUS_OF_ONE + b"Will-Retry-Until: Fri, 31 Dec 9999 23:59:59 -1000",
    "half a character in UTF-7": FROM_A_SERVER
    + b"Content-Type: text/plain; charset=utf-7\n\nCould not be delivered\n\n<ana@lamp.example>: 550 +2AA-\n",
    "half a character in a subject": FROM_A_SERVER + b"Subject: =?utf-7?q?+2AA-?=\n\nundeliverable",
    "half a character in JSON": OF_SES
    + rb'{"emailAddress":"a\ud800@lamp.example","diagnosticCode":"smtp; 550 \udfff"}]}}',
    "complaints of thousands": FEEDBACK
    + b"Content-Type: message/feedback-report\n\n"
    + numbered(b"Original-Rcpt-To: a%d@b.example\n"),
    "IMail's thousands": FROM_A_SERVER + b"\nunknown user: x\n" + numbered(b"undeliverable a%d@b.example\n"),
    "Exchange's thousands": FROM_A_SERVER + b"\nmsexch:\n" + numbered(b"a%d@b.example\n"),
    "James's thousands": FROM_A_SERVER + b"\nmessage details:\n" + numbered(b"RCPT TO: a%d@b.example\n"),
    "odd ones without end": STATUS_OF_ONE
    + numbered(b"\nFinal-Recipient: rfc822; a%d@b.example\nAction: x\n"),
}


@pytest.mark.parametrize("raw", BROKE.values(), ids=BROKE)
def test_what_once_broke_a_promise_keeps_them_all(raw: bytes) -> None:
    read_and_explained(raw)


def test_a_mail_that_tells_of_thousands_says_how_many_were_left_out() -> None:
    returned = read(BROKE["Exchange's thousands"])

    assert len(returned.reports) == 1_000
    assert returned.oddities == ("tells of 1999 recipients; the first 1000 were read",)


# --- Reports that keep to RFC 3464, RFC 6522 and RFC 6533 -----------------------------------------------------------

LOCAL_PART = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-", min_size=1, max_size=20)
LOCAL_PART_IN_UTF8 = st.text("abcéüñжя灯λ", min_size=1, max_size=12)
LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=12)
WORD = st.text(st.characters(categories=("L", "N", "P", "S"), max_codepoint=0x2FFF), min_size=1, max_size=12)
ASCII_WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
STATUS = st.builds(EnhancedStatus, st.sampled_from((2, 4, 5)), st.integers(0, 999), st.integers(0, 999))
FIRST_OF_A_MAIL = (
    "From: MAILER-DAEMON@mx.lamp.example\nTo: desk@lamp.example\nSubject: Undelivered Mail Returned to Sender\n"
    'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n boundary="B/1"\n\n'
    "--B/1\nContent-Type: text/plain\n\nSorry.\n\n--B/1\n"
)


class Fate(NamedTuple):
    """What a report says of one recipient."""

    recipient: str
    action: Action
    status: EnhancedStatus
    diagnostic: str
    remote_mta: str


@st.composite
def fates(draw: st.DrawFn, words: st.SearchStrategy[str], local_part: st.SearchStrategy[str]) -> Fate:
    domain = ".".join(draw(st.lists(LABEL, min_size=2, max_size=3)))
    code = draw(st.integers(200, 599))
    said = " ".join(draw(st.lists(words, min_size=1, max_size=30)))
    recipient = f"{draw(local_part)}@{domain}"
    return Fate(recipient, draw(st.sampled_from(Action)), draw(STATUS), f"{code} {said}", f"mx.{domain}")


def several(fate: st.SearchStrategy[Fate]) -> st.SearchStrategy[list[Fate]]:
    return st.lists(fate, min_size=1, max_size=5, unique_by=lambda one: one.recipient.lower())


def folded(draw: st.DrawFn, value: str) -> str:
    """With a line end in front of some of the spaces; RFC 5322 section 2.2.3."""
    words = value.split(" ")
    seams = draw(
        st.lists(st.sampled_from((" ", " ", "\n ", "\n\t")), min_size=len(words), max_size=len(words))
    )
    return "".join(word + seam for word, seam in zip(words, seams, strict=True)).strip()


def in_any_case(draw: st.DrawFn, name: str) -> str:
    return draw(st.sampled_from((name, name.lower(), name.upper())))


def group(draw: st.DrawFn, fate: Fate, *, kind: str, diagnostic: str) -> str:
    """The fields about one recipient, in any order."""
    fields = [
        ("Final-Recipient", f"{kind}; {fate.recipient}"),
        ("Action", in_any_case(draw, fate.action)),
        ("Status", str(fate.status)),
        ("Diagnostic-Code", f"smtp; {diagnostic}"),
        ("Remote-MTA", f"dns; {fate.remote_mta}"),
    ]
    return (
        "\n".join(f"{in_any_case(draw, name)}: {value}" for name, value in draw(st.permutations(fields)))
        + "\n"
    )


def mail_with(groups: list[str], *, kind: str) -> bytes:
    status = "\n".join(["Reporting-MTA: dns; mx.lamp.example\n", *groups])
    return f"{FIRST_OF_A_MAIL}Content-Type: {kind}\n\n{status}\n--B/1--\n".encode()


def told(raw: bytes) -> list[Fate]:
    return [
        Fate(
            one.final_recipient,
            one.action,
            one.status or EnhancedStatus(0, 0, 0),
            one.diagnostic_code.text,
            one.remote_mta,
        )
        for one in read_and_explained(raw).reports
    ]


@examples(120)
@given(st.data(), several(fates(ASCII_WORD, LOCAL_PART)))
def test_a_report_is_read_as_it_was_written(data: st.DataObject, wanted: list[Fate]) -> None:
    assume(not any("=?" in fate.diagnostic for fate in wanted))
    groups = [
        group(data.draw, fate, kind="rfc822", diagnostic=folded(data.draw, fate.diagnostic))
        for fate in wanted
    ]

    assert told(mail_with(groups, kind="message/delivery-status")) == wanted


@examples(100)
@given(st.data(), several(fates(WORD, LOCAL_PART_IN_UTF8)))
def test_a_report_in_utf_8_is_read_as_it_was_written(data: st.DataObject, wanted: list[Fate]) -> None:
    assume(not any("=?" in fate.diagnostic for fate in wanted))
    groups = [
        group(data.draw, fate, kind="utf-8", diagnostic=folded(data.draw, fate.diagnostic)) for fate in wanted
    ]

    assert told(mail_with(groups, kind="message/global-delivery-status")) == wanted


@examples(60)
@given(st.data(), several(fates(WORD, LOCAL_PART)))
def test_encoded_words_of_a_report_are_read(data: st.DataObject, wanted: list[Fate]) -> None:
    assume(not any("=?" in fate.diagnostic for fate in wanted))
    groups = [
        group(data.draw, fate, kind="rfc822", diagnostic=Header(fate.diagnostic, "utf-8").encode())
        for fate in wanted
    ]

    assert told(mail_with(groups, kind="message/delivery-status")) == wanted


@examples(40)
@given(several(fates(ASCII_WORD, LOCAL_PART)))
def test_the_gravest_fate_makes_the_kind(wanted: list[Fate]) -> None:
    groups = [f"Final-Recipient: rfc822; {fate.recipient}\nAction: {fate.action}\n" for fate in wanted]
    actions = {fate.action for fate in wanted}
    gravest = (
        Kind.BOUNCE
        if Action.FAILED in actions
        else Kind.DELAYED
        if Action.DELAYED in actions
        else Kind.DELIVERED
    )

    assert read(mail_with(groups, kind="message/delivery-status")).kind is gravest


# --- Replies --------------------------------------------------------------------------------------------------------

REPLY = st.sampled_from(REPLIES)
ANY_TEXT = st.text(max_size=300) | st.lists(REPLY | st.text(max_size=20), max_size=4).map(" ".join)
ANY_STATUS = st.none() | STATUS
ANY_STAGE = st.none() | st.sampled_from(Stage)
REPORTS = st.builds(
    RecipientReport,
    final_recipient=st.sampled_from(("", "ana@lamp.example", "ana", "@", "{domain}@{words}"))
    | st.text(max_size=20),
    action=st.sampled_from(Action),
    status=ANY_STATUS,
    diagnostic_code=st.builds(
        Diagnostic, st.sampled_from(("smtp", "x-local", "x-qmail", "dns", "")), ANY_TEXT
    ),
    remote_mta=st.sampled_from(HOSTS) | st.text(max_size=20),
    stage=ANY_STAGE,
)


@examples(400)
@given(REPORTS, st.sampled_from(LANGUAGES))
def test_any_report_is_explained(report: RecipientReport, language: str) -> None:
    verdict = explained(report, language=language)

    assert not verdict.address_dead or verdict.reason in ABOUT_AN_ADDRESS


@examples(200)
@given(ANY_TEXT, st.sampled_from(HOSTS), st.sampled_from(BEFORE_RCPT))
def test_what_is_said_before_the_recipient_is_named_is_not_about_the_address(
    text: str, host: str, stage: Stage
) -> None:
    assert not explained(report_of(text, host=host, stage=stage)).address_dead


@examples(200)
@given(REPLY, st.data())
def test_neither_case_nor_spaces_change_a_reason(text: str, data: st.DataObject) -> None:
    shouted = text.swapcase() if text.swapcase().lower() == text.lower() else text
    spaced = data.draw(st.sampled_from(("  ", "\t", " \n ", "\r\n "))).join(shouted.split(" "))

    assert explained(report_of(spaced)).reason == explained(report_of(text)).reason


@examples(150)
@given(REPLY, st.data())
def test_the_lines_of_a_reply_do_not_change_its_reason(text: str, data: st.DataObject) -> None:
    """ "550 5.1.1 No such user" may come as "550-5.1.1 No such" and "550 5.1.1 user"."""
    words = text.split()
    assume(len(words) > 3 and words[0].isdigit() and len(words[0]) == 3 and "\n" not in text)
    at = data.draw(st.integers(2, len(words) - 1))
    lines = f"{words[0]}-{' '.join(words[1:at])}\n{words[0]} {' '.join(words[at:])}"

    assert explained(report_of(lines)).reason == explained(report_of(text)).reason


@examples(60)
@given(ANY_TEXT, ANY_TEXT)
def test_what_is_said_in_one_language_is_decided_in_all(text: str, other: str) -> None:
    report = report_of(f"{text} {other}")
    verdicts = [explained(report, language=language) for language in LANGUAGES]

    assert len({(one.reason, one.rule, one.address_dead, one.party, one.retry) for one in verdicts}) == 1
    assert len(json.dumps([one.meaning for one in verdicts])) > 10 * len(LANGUAGES)
