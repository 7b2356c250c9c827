"""Each mail server in its own words: who was not reached, what was said of him, and by whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telltale.bounce import Kind, read
from telltale.bounce.dialects import DIALECTS
from telltale.mail.report import Action
from tests.bounce.letters import LETTERS, Letter


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_notice_says_who_was_not_reached_and_why(letter: Letter, line_end: bytes):
    returned = read(letter.octets().replace(b"\n", line_end))

    [found] = returned.reports
    assert returned.kind is (Kind.DELAYED if letter.action is Action.DELAYED else Kind.BOUNCE)
    assert found.final_recipient == letter.recipient
    assert found.action is letter.action
    assert found.diagnostic_code.text == letter.words
    assert found.diagnostic_code.type == letter.type
    assert str(found.status or "") == letter.status
    assert found.remote_mta == letter.remote_mta
    assert found.stage is letter.stage


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_the_mail_below_the_notice_is_known_by_its_message_id(letter: Letter):
    keys = read(letter.octets()).keys

    assert keys.message_ids == ("<m1@desk.example>",)
    assert keys.returned_references == ("<m0@customer.example>",)


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_a_notice_without_the_returned_mail_says_the_same(letter: Letter):
    [found] = read(letter.octets(with_returned=False)).reports

    assert (found.final_recipient, found.diagnostic_code.text) == (letter.recipient, letter.words)


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_a_person_who_quotes_a_notice_writes_none(letter: Letter):
    quoted = "\n".join(f"> {line}" for line in letter.text.split("\n"))
    asked = replace(
        letter,
        text=f"Hello, what does this mean?\n\n{quoted}",
        sender="Bob <bob@customer.example>",
        subject=f"Re: {letter.subject}",
        header="Return-Path: <bob@customer.example>\nIn-Reply-To: <x@y.example>\n",
    )

    returned = read(asked.octets(with_returned=False))

    assert (returned.kind, returned.reports) == (Kind.ORDINARY, ())


@pytest.mark.parametrize("letter", LETTERS, ids=lambda letter: letter.name)
def test_a_person_who_forwards_a_notice_within_his_own_writes_none(letter: Letter):
    forwarded = replace(
        letter,
        text="Can you look into this?\n\n---------- Forwarded message ---------\n"
        f"From: {letter.sender}\nDate: Mon, 2 Nov 2026 10:00\nSubject: {letter.subject}\n"
        f"To: <bob@customer.example>\n\n{letter.text}",
        sender="Bob <bob@customer.example>",
        subject=f"Fwd: {letter.subject}",
        header="Return-Path: <bob@customer.example>\n",
    )

    returned = read(forwarded.octets())

    assert (returned.kind, returned.reports) == (Kind.ORDINARY, ())


def test_every_dialect_has_a_letter_that_it_reads():
    spoken = {dialect.name for letter in LETTERS for dialect in DIALECTS if _is_in(dialect.signs, letter)}

    assert {dialect.name for dialect in DIALECTS} - spoken == set()


def _is_in(signs: tuple[str, ...], letter: Letter) -> bool:
    return any(sign in letter.text.lower() for sign in signs)
