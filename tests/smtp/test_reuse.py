"""Open connections are used again, within limits; what would smuggle is made harmless."""

from __future__ import annotations

import pytest

from telltale.smtp.session import Envelope, Outcome, Reuse
from tests.smtp.conftest import MESSAGE, OpenSessions, Send, nothing_to_note, route_to
from tests.smtp.server import smtp_server
from tests.smtp.test_session import ACCEPTED

ENVELOPE = Envelope("b-7f3a@desk.example.com", "anna@example.org", MESSAGE)
TRANSACTION = """
    C: MAIL FROM:<b-7f3a@desk.example.com>
    S: 250 2.1.0 Ok
    C: RCPT TO:<anna@example.org>
    S: 250 2.1.5 Ok
    C: DATA
    S: 354 Go ahead
    C: (message)
    S: 250 2.0.0 Ok: queued as 2nd
"""


async def test_a_second_message_takes_the_open_connection(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    async with smtp_server(ACCEPTED + "C: RSET\nS: 250 2.0.0 Ok\n" + TRANSACTION) as server:
        for _ in range(2):
            result = await sessions.deliver(ENVELOPE, route_to(server.hop()), before_content=nothing_to_note)
            assert result.outcome is Outcome.ACCEPTED
        await sessions.close()

    assert result.queue_id == "2nd"
    assert any("open connection" in line.text for line in result.transcript)


async def test_a_connection_that_died_meanwhile_costs_nothing(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    async with smtp_server(ACCEPTED + "- hang up", ACCEPTED) as server:
        for _ in range(2):
            result = await sessions.deliver(ENVELOPE, route_to(server.hop()), before_content=nothing_to_note)
            assert result.outcome is Outcome.ACCEPTED
        await sessions.close()

    assert len(server.messages) == 2


@pytest.mark.parametrize("reuse", [Reuse(messages=1), Reuse(seconds=0), Reuse(idle_seconds=0)])
async def test_a_connection_that_has_served_long_enough_is_replaced(
    open_sessions: OpenSessions, reuse: Reuse
) -> None:
    sessions = open_sessions(reuse=reuse)
    async with smtp_server(ACCEPTED, ACCEPTED) as server:
        for _ in range(2):
            result = await sessions.deliver(ENVELOPE, route_to(server.hop()), before_content=nothing_to_note)
            assert result.outcome is Outcome.ACCEPTED
        await sessions.close()


async def test_a_message_larger_than_the_host_takes_is_not_sent(send: Send) -> None:
    script = """
        S: 220 mx.example.org ESMTP
        C: EHLO desk.example.com
        S: 250-mx.example.org
        S: 250 SIZE 20
    """
    async with smtp_server(script) as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.FAILED
    assert result.report
    assert "takes messages of up to 20 octets" in result.report.diagnostic_code.text
    assert "250 SIZE 20" in result.report.diagnostic_code.text


async def test_bare_line_ends_and_dots_cannot_smuggle_a_second_mail(send: Send) -> None:
    smuggling = b"Subject: x\n\nbody\n.\nMAIL FROM:<evil@example.com>\r.\r\nend"
    async with smtp_server(ACCEPTED) as server:
        await send(server.hop(), message=smuggling)

    assert server.messages == [
        b"Subject: x\r\n\r\nbody\r\n..\r\nMAIL FROM:<evil@example.com>\r\n..\r\nend\r\n"
    ]
