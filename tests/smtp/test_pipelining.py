"""Commands that are written together, RFC 2920: each answer is still the answer to its own command.

The server hears all of a group before it says the first answer, so a client that waited would wait in vain.
"""

from __future__ import annotations

import pytest

from telltale.mail.report import Stage
from telltale.smtp.session import AttemptResult, Envelope, Outcome, Sessions
from tests.smtp.conftest import MESSAGE, OpenSessions, Send, nothing_to_note, route_to
from tests.smtp.server import SmtpServer, smtp_server

ENVELOPE = Envelope("b-7f3a@desk.example.com", "anna@example.org", MESSAGE)
HELLO = """
    S: 220 mx.example.org ESMTP
    C: EHLO desk.example.com
    S: 250-mx.example.org
    S: 250 PIPELINING
"""
GROUP = """
    C: MAIL FROM:<b-7f3a@desk.example.com>
    C: RCPT TO:<anna@example.org>
"""
TAKEN = """
    S: 250 2.1.0 Ok
    S: 250 2.1.5 Ok
    C: DATA
    S: 354 Go ahead
    C: (message)
    S: 250 2.0.0 Ok: queued
"""
RESET = "C: RSET\n"
RESET_DONE = "S: 250 2.0.0 Flushed\n"


async def deliver(sessions: Sessions, *servers: SmtpServer) -> AttemptResult:
    route = route_to(*(server.hop() for server in servers))
    return await sessions.deliver(ENVELOPE, route, before_content=nothing_to_note)


def said(result: AttemptResult) -> list[str]:
    return [f"{line.who}: {line.text}" for line in result.transcript if line.who != "-"]


@pytest.mark.parametrize("bytewise", [False, True])
async def test_all_up_to_rcpt_is_one_round_trip(send: Send, bytewise: bool) -> None:
    async with smtp_server(HELLO + GROUP + TAKEN, bytewise=bytewise) as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.ACCEPTED


async def test_in_the_transcript_each_answer_stands_behind_its_command(send: Send) -> None:
    async with smtp_server(HELLO + GROUP + TAKEN) as server:
        result = await send(server.hop())

    group = [
        ("C", "MAIL FROM:<b-7f3a@desk.example.com>"),
        ("S", "250 2.1.0 Ok"),
        ("C", "RCPT TO:<anna@example.org>"),
        ("S", "250 2.1.5 Ok"),
    ]
    lines = [line for line in result.transcript if (line.who, line.text) in group]
    assert [(line.who, line.text) for line in lines] == group
    mail, mail_answer, rcpt, _ = lines
    assert mail.at == rcpt.at <= mail_answer.at  # when it was said, and not when its turn came


async def test_on_a_used_connection_the_reset_goes_along(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    again = RESET + GROUP + RESET_DONE + TAKEN
    async with smtp_server(HELLO + GROUP + TAKEN + again) as server:
        for _ in range(2):
            assert (await deliver(sessions, server)).outcome is Outcome.ACCEPTED
        await sessions.close()


async def test_behind_a_refused_sender_the_answer_about_the_recipient_is_heard_and_counts_for_nothing(
    open_sessions: OpenSessions,
) -> None:
    sessions = open_sessions()
    refused = GROUP + "S: 550 5.7.1 Not you\nS: 503 5.5.1 Need MAIL\n"
    async with smtp_server(HELLO + refused + RESET + GROUP + RESET_DONE + TAKEN) as server:
        first, second = await deliver(sessions, server), await deliver(sessions, server)
        await sessions.close()

    assert (first.outcome, first.stage, str(first.reply)) == (
        Outcome.FAILED,
        Stage.MAIL,
        "550 5.7.1 Not you",
    )
    assert said(first)[-1] == "S: 503 5.5.1 Need MAIL"
    assert second.outcome is Outcome.ACCEPTED


async def test_a_refused_recipient_is_the_last_word(open_sessions: OpenSessions) -> None:
    """No DATA goes out behind it, which the server would have to refuse as well."""
    sessions = open_sessions()
    refused = GROUP + "S: 250 2.1.0 Ok\nS: 550 5.1.1 No such user\n"
    async with smtp_server(HELLO + refused + RESET + GROUP + RESET_DONE + TAKEN) as server:
        first, second = await deliver(sessions, server), await deliver(sessions, server)
        await sessions.close()

    assert (first.stage, str(first.reply)) == (Stage.RCPT, "550 5.1.1 No such user")
    assert said(first)[-1] == "S: 550 5.1.1 No such user"
    assert second.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("ending", ["- nothing at all", "- hang up"])
async def test_a_server_that_falls_silent_behind_its_refusal_has_refused(send: Send, ending: str) -> None:
    async with smtp_server(f"{HELLO}{GROUP}S: 550 5.7.1 Not you\n{ending}") as server:
        result = await send(server.hop())

    assert (result.outcome, str(result.reply)) == (Outcome.FAILED, "550 5.7.1 Not you")


@pytest.mark.parametrize("ending", ["- nothing at all", "- hang up"])
async def test_a_used_connection_that_refuses_and_falls_silent_is_not_asked_twice(
    open_sessions: OpenSessions, ending: str
) -> None:
    """It has said what becomes of this message; a second connection would be a second try."""
    sessions = open_sessions()
    again = f"{RESET}{GROUP}{RESET_DONE}S: 450 4.7.1 Slow down\n{ending}"
    async with smtp_server(HELLO + GROUP + TAKEN + again) as server:
        await deliver(sessions, server)
        result = await deliver(sessions, server)
        await sessions.close()

    assert (result.outcome, str(result.reply)) == (Outcome.DELAYED, "450 4.7.1 Slow down")


@pytest.mark.parametrize(
    "refusal",
    [
        "S: 502 5.5.1 What?\nS: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\n- nothing at all",
        "S: 421 4.7.0 Enough\n- hang up",
        "- hang up",
    ],
)
async def test_a_used_connection_that_refuses_the_reset_is_replaced(
    open_sessions: OpenSessions, refusal: str
) -> None:
    sessions = open_sessions()
    again = f"{RESET}{GROUP}{refusal}"
    async with smtp_server(HELLO + GROUP + TAKEN + again, HELLO + GROUP + TAKEN) as server:
        for _ in range(2):
            assert (await deliver(sessions, server)).outcome is Outcome.ACCEPTED
        await sessions.close()


async def test_a_host_that_closes_the_session_at_mail_is_passed_over(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    closing = GROUP + "S: 421 4.7.0 Too many connections\n- hang up"
    async with smtp_server(HELLO + closing) as first, smtp_server(HELLO + GROUP + TAKEN) as second:
        result = await deliver(sessions, first, second)
        await sessions.close()

    assert result.outcome is Outcome.ACCEPTED


async def test_more_answers_than_commands_are_never_taken_for_one(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    babbling = GROUP + "S: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\\r\\n354 Go ahead\n- nothing at all"
    async with smtp_server(HELLO + babbling) as server:
        result = await deliver(sessions, server)
        await sessions.close()

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert "unasked" in result.report.diagnostic_code.text
