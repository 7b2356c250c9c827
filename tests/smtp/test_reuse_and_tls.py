"""Open connections are used again; TLS is taken where it is to be had, and said as it was."""

from __future__ import annotations

from telltale.mail.report import Action, Stage
from telltale.smtp.route import Relay, Security
from telltale.smtp.session import Envelope, Outcome
from tests.smtp.conftest import MESSAGE, Certificates, OpenSessions, Send, nothing_to_note
from tests.smtp.server import smtp_server
from tests.smtp.test_session import ACCEPTED, HELLO

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
OFFERS_TLS = """
    S: 220 mx.example.org ESMTP
    C: EHLO desk.example.com
    S: 250-mx.example.org
    S: 250 STARTTLS
    C: STARTTLS
    S: 220 2.0.0 Ready
"""
AFTER_TLS = """
    C: EHLO desk.example.com
    S: 250 mx.example.org
"""


async def test_a_second_message_takes_the_open_connection(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    async with smtp_server(ACCEPTED + "C: RSET\nS: 250 2.0.0 Ok\n" + TRANSACTION) as server:
        for _ in range(2):
            result = await sessions.deliver(ENVELOPE, [server.hop()], before_content=nothing_to_note)
            assert result.outcome is Outcome.ACCEPTED
        await sessions.close()

    assert result.queue_id == "2nd"
    assert any("open connection" in line.text for line in result.transcript)


async def test_a_connection_that_died_meanwhile_costs_nothing(open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    async with smtp_server(ACCEPTED + "- hang up", ACCEPTED) as server:
        for _ in range(2):
            result = await sessions.deliver(ENVELOPE, [server.hop()], before_content=nothing_to_note)
            assert result.outcome is Outcome.ACCEPTED
        await sessions.close()

    assert len(server.messages) == 2


async def test_a_trusted_certificate_is_said_to_be_verified(send: Send, certificates: Certificates) -> None:
    script = OFFERS_TLS + "- begin TLS\n" + AFTER_TLS + TRANSACTION
    async with smtp_server(script, tls=certificates.server) as server:
        result = await send(server.hop(), tls_context=certificates.trusting_client)

    assert result.outcome is Outcome.ACCEPTED
    assert (result.tls_version, result.tls_verified) == ("TLS 1.3", True)


async def test_an_untrusted_certificate_still_encrypts_and_is_said_to_be_unverified(
    send: Send, certificates: Certificates
) -> None:
    second = OFFERS_TLS + "- begin TLS\n" + AFTER_TLS + TRANSACTION
    async with smtp_server(OFFERS_TLS + "- fail at TLS", second, tls=certificates.server) as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.ACCEPTED
    assert (result.tls_version, result.tls_verified) == ("TLS 1.3", False)


async def test_a_relay_that_must_have_tls_gets_nothing_without_it(send: Send) -> None:
    async with smtp_server(HELLO) as server:
        relay = Relay("mx.example.org", server.port, Security.STARTTLS)
        result = await send(server.hop(), relay=relay)

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.STARTTLS)
    assert result.report
    assert "offers no STARTTLS" in result.report.diagnostic_code.text


async def test_a_relay_that_refuses_our_login_delays_in_its_words_and_no_secret_is_kept(send: Send) -> None:
    script = """
        S: 220 relay.example.org ESMTP
        C: EHLO desk.example.com
        S: 250-relay.example.org
        S: 250 AUTH PLAIN LOGIN
        C: AUTH PLAIN *
        S: 535 5.7.8 Error: authentication failed
    """
    async with smtp_server(script) as server:
        relay = Relay("relay.example.org", server.port, Security.NONE, "maya", "s3cret-s3cret")
        result = await send(server.hop("relay.example.org"), relay=relay)

    assert result.report
    assert result.report.action is Action.DELAYED
    assert result.report.diagnostic_code.text == "535 5.7.8 Error: authentication failed"
    said = "\n".join(line.text for line in result.transcript)
    assert "AUTH PLAIN ***" in said
    assert "s3cret" not in said


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
