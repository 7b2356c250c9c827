"""One attempt: what becomes of a message, and in whose words."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest

from telltale.mail.report import Action, Diagnostic, Stage
from telltale.mail.status import EnhancedStatus
from telltale.smtp.route import Hop
from telltale.smtp.session import Envelope, Outcome, Sessions
from tests.smtp.conftest import BRIEF, MESSAGE, OpenSessions, Send, nothing_to_note, route_to
from tests.smtp.server import smtp_server

HELLO = """
    S: 220 mx.example.org ESMTP
    C: EHLO desk.example.com
    S: 250 mx.example.org
"""
TO_MAIL = (
    HELLO
    + """
    C: MAIL FROM:<b-7f3a@desk.example.com>
"""
)
TO_RCPT = (
    TO_MAIL
    + """
    S: 250 2.1.0 Ok
    C: RCPT TO:<anna@example.org>
"""
)
TO_DATA = (
    TO_RCPT
    + """
    S: 250 2.1.5 Ok
    C: DATA
"""
)
TO_MESSAGE = (
    TO_DATA
    + """
    S: 354 Go ahead
    C: (message)
"""
)
ACCEPTED = (
    TO_MESSAGE
    + """
    S: 250 2.0.0 Ok: queued as 4Zk9Qv2
"""
)


@pytest.mark.parametrize("bytewise", [False, True])
async def test_an_accepted_message_leaves_the_reply_and_the_queue_id(send: Send, bytewise: bool) -> None:
    async with smtp_server(ACCEPTED, bytewise=bytewise) as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.ACCEPTED
    assert result.report is None
    assert str(result.reply) == "250 2.0.0 Ok: queued as 4Zk9Qv2"
    assert result.queue_id == "4Zk9Qv2"
    assert (result.stage, result.remote_host, result.remote_ip) == (
        Stage.CONTENT,
        "mx.example.org",
        "127.0.0.1",
    )
    assert (result.tls_version, result.tls_verified) == ("", None)
    assert server.messages == [MESSAGE]
    assert result.started_at.tzinfo is not None
    assert result.started_at <= result.ended_at


async def test_the_transcript_has_every_line_in_order_and_the_content_as_a_count(send: Send) -> None:
    async with smtp_server(ACCEPTED) as server:
        result = await send(server.hop())

    assert [(line.who, line.text) for line in result.transcript] == [
        ("-", f"connected to mx.example.org [127.0.0.1] port {server.port}"),
        ("S", "220 mx.example.org ESMTP"),
        ("C", "EHLO desk.example.com"),
        ("S", "250 mx.example.org"),
        ("-", "no TLS: the server does not offer STARTTLS"),
        ("C", "MAIL FROM:<b-7f3a@desk.example.com>"),
        ("S", "250 2.1.0 Ok"),
        ("C", "RCPT TO:<anna@example.org>"),
        ("S", "250 2.1.5 Ok"),
        ("C", "DATA"),
        ("S", "354 Go ahead"),
        ("C", f"(message, {len(MESSAGE)} octets)"),
        ("C", "."),
        ("S", "250 2.0.0 Ok: queued as 4Zk9Qv2"),
    ]
    times = [line.at for line in result.transcript]
    assert times == sorted(times)


@pytest.mark.parametrize("bytewise", [False, True])
async def test_a_refused_recipient_keeps_every_word(send: Send, bytewise: bool) -> None:
    script = (
        TO_RCPT
        + r"""
        S: 550-5.1.1 No such user here:  bo\xeete inconnue.
        S: 550-
        S: 550 5.1.1 Please check the address.
        """
    )
    async with smtp_server(script, bytewise=bytewise) as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.FAILED
    assert result.report
    assert result.report.diagnostic_code == Diagnostic(
        "smtp",
        "550-5.1.1 No such user here:  bo\\xeete inconnue.\n550-\n550 5.1.1 Please check the address.",
    )
    assert (result.report.action, result.report.status) == (Action.FAILED, EnhancedStatus(5, 1, 1))
    assert (result.report.final_recipient, result.report.remote_mta) == ("anna@example.org", "mx.example.org")
    assert (result.report.stage, result.stage) == (Stage.RCPT, Stage.RCPT)


@pytest.mark.parametrize(
    ("script", "reply", "outcome", "stage"),
    [
        (TO_MAIL, "550 5.7.1 Not from you", Outcome.FAILED, Stage.MAIL),
        (TO_MAIL, "451 4.3.0 Later", Outcome.DELAYED, Stage.MAIL),
        (TO_RCPT, "450 4.2.0 Greylisted", Outcome.DELAYED, Stage.RCPT),
        (TO_RCPT, "552 Too many recipients", Outcome.DELAYED, Stage.RCPT),  # RFC 5321 section 4.5.3.1.10
        (TO_DATA, "554 5.5.1 No valid recipients", Outcome.FAILED, Stage.DATA),
        (TO_MESSAGE, "550 5.7.1 Spam", Outcome.FAILED, Stage.CONTENT),
        (TO_MESSAGE, "552 5.3.4 Too big", Outcome.FAILED, Stage.CONTENT),
        (TO_MESSAGE, "452 4.3.1 Disk full", Outcome.DELAYED, Stage.CONTENT),
    ],
)
async def test_the_stage_and_the_code_of_a_refusal_decide(
    send: Send, script: str, reply: str, outcome: Outcome, stage: Stage
) -> None:
    unreachable = Hop("mx2.example.org", "127.0.0.1", 1)  # a refusal decides: nobody else is asked
    async with smtp_server(f"{script}\nS: {reply}") as server:
        result = await send(server.hop(), unreachable)

    assert (result.outcome, result.stage) == (outcome, stage)
    assert result.report
    assert result.report.diagnostic_code == Diagnostic("smtp", reply)
    assert result.report.action is (Action.FAILED if outcome is Outcome.FAILED else Action.DELAYED)
    assert str(result.reply) == reply


@pytest.mark.parametrize("script", [TO_MAIL, TO_RCPT, TO_DATA, TO_MESSAGE])
async def test_a_421_delays_the_message_and_ends_the_connection(send: Send, script: str) -> None:
    async with smtp_server(f"{script}\nS: 421 4.3.2 Shutting down\n- nothing at all") as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert result.report.diagnostic_code == Diagnostic("smtp", "421 4.3.2 Shutting down")


@pytest.mark.parametrize(
    ("script", "stage", "what"),
    [
        ("", Stage.CONNECT, "the greeting"),
        ("S: 220 mx\nC: EHLO desk.example.com", Stage.EHLO, "the reply to EHLO"),
        (TO_MAIL, Stage.MAIL, "the reply to MAIL FROM"),
        (TO_RCPT, Stage.RCPT, "the reply to RCPT TO"),
        (TO_DATA, Stage.DATA, "the reply to DATA"),
    ],
)
async def test_before_the_content_a_lost_or_silent_server_only_delays(
    send: Send, script: str, stage: Stage, what: str
) -> None:
    async with smtp_server(f"{script}\n- hang up", f"{script}\n- nothing at all") as server:
        lost = await send(server.hop())
        silent = await send(server.hop(), timeouts=replace(BRIEF, **{_TIMEOUT[stage]: 0.05}))

    peer = f"mx.example.org [127.0.0.1] port {server.port}"
    assert lost.report
    assert silent.report
    assert lost.report.diagnostic_code == Diagnostic(
        "x-local", f"{peer}: the connection was lost while waiting for {what}"
    )
    assert silent.report.diagnostic_code == Diagnostic(
        "x-local", f"{peer}: timed out after 0.05 seconds waiting for {what}"
    )
    assert lost.report.status == silent.report.status == EnhancedStatus(4, 4, 2)
    for result in (lost, silent):
        assert (result.outcome, result.stage, result.reply) == (Outcome.DELAYED, stage, None)


_TIMEOUT = {
    Stage.CONNECT: "greeting",
    Stage.EHLO: "hello",
    Stage.MAIL: "mail",
    Stage.RCPT: "rcpt",
    Stage.DATA: "data",
}


async def test_lost_after_the_final_dot_is_uncertain_and_says_so(send: Send) -> None:
    async with smtp_server(TO_MESSAGE + "\n- hang up") as server:
        result = await send(server.hop(), Hop("mx2.example.org", "127.0.0.1", 1))

    assert (result.outcome, result.stage) == (Outcome.UNCERTAIN, Stage.CONTENT)
    assert server.messages == [MESSAGE]
    assert result.report
    assert result.report.action is Action.DELAYED
    assert result.report.diagnostic_code == Diagnostic(
        "x-local",
        f"mx.example.org [127.0.0.1] port {server.port}: the connection was lost while waiting for"
        " the reply to the message; the whole message had been handed over, so it may or may not have"
        " arrived",
    )


async def test_silence_after_the_final_dot_is_uncertain(send: Send) -> None:
    async with smtp_server(TO_MESSAGE + "\n- nothing at all") as server:
        result = await send(server.hop(), timeouts=replace(BRIEF, content=0.05))

    assert result.outcome is Outcome.UNCERTAIN
    assert result.report
    assert "timed out after 0.05 seconds waiting for the reply to the message" in str(
        result.report.diagnostic_code
    )


async def test_nonsense_after_the_final_dot_is_uncertain_and_quoted(send: Send) -> None:
    async with smtp_server(TO_MESSAGE + "\nS: all right then\n- nothing at all") as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.UNCERTAIN
    assert result.report
    assert "said in place of the reply to the message: 'all right then'" in result.report.diagnostic_code.text


BIG = b"Subject: Pictures\r\n\r\n" + b"A line of a picture.\r\n" * 1_000_000  # more than kernels buffer


async def test_lost_amid_the_content_was_not_delivered(send: Send) -> None:
    async with smtp_server(TO_DATA + "\nS: 354 Go ahead\n- hang up") as server:
        result = await send(server.hop(), message=BIG)

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.CONTENT)
    assert result.report
    assert result.report.diagnostic_code.type == "x-local"
    assert result.report.diagnostic_code.text.endswith(
        "; the message had not been handed over whole, so it was not delivered"
    )


async def test_a_server_that_stops_reading_amid_the_content_delays(send: Send) -> None:
    never = asyncio.Event()

    async def stop_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in (b"220 mx", b"250 mx", b"250 Ok", b"250 Ok", b"354 Go ahead"):
            writer.write(line + b"\r\n")
            if not line.startswith(b"354"):
                await reader.readline()
        await never.wait()
        writer.close()

    listener = await asyncio.start_server(stop_reading, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    result = await send(
        Hop("mx.example.org", "127.0.0.1", port), message=BIG, timeouts=replace(BRIEF, block=0.2)
    )
    never.set()
    listener.close()
    await listener.wait_closed()

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert "timed out after 0.2 seconds sending the message" in result.report.diagnostic_code.text


async def test_a_refusal_amid_the_content_decides_in_the_servers_words(send: Send) -> None:
    script = TO_DATA + "\nS: 354 Go ahead\nS: 552-5.3.4 Much\nS: 552 5.3.4 too big\n- hang up"
    async with smtp_server(script) as server:
        result = await send(server.hop(), message=BIG)

    assert (result.outcome, result.stage) == (Outcome.FAILED, Stage.CONTENT)
    assert str(result.reply) == "552-5.3.4 Much\n552 5.3.4 too big"


async def test_the_caller_hears_that_the_content_goes_out_before_its_first_octet(send: Send) -> None:
    async with smtp_server(ACCEPTED) as server:
        heard_before: list[int] = []

        async def note() -> None:
            await asyncio.sleep(0.05)  # time enough for content to arrive, were it on its way
            heard_before.append(len(server.messages))

        result = await send(server.hop(), before_content=note)

    assert result.outcome is Outcome.ACCEPTED
    assert heard_before == [0]


async def test_the_caller_hears_nothing_where_the_content_does_not_go_out(send: Send) -> None:
    noted: list[str] = []

    async def note() -> None:
        noted.append("content")

    async with smtp_server(TO_DATA + "\nS: 451 4.3.0 Not now") as server:
        await send(server.hop(), before_content=note)

    assert noted == []


async def test_what_the_caller_raises_before_the_content_stops_it(send: Send) -> None:
    async def fail() -> None:
        raise LookupError("no database")

    async with smtp_server(TO_DATA + "\nS: 354 Go ahead\n- nothing at all") as server:
        with pytest.raises(LookupError, match="no database"):
            await send(server.hop(), before_content=fail)

    assert server.messages == []


@pytest.mark.parametrize(
    "greeting",
    [
        "S: 554 5.7.1 Go away",
        "S: 421 Too busy\n- hang up",
        "S: 220 mx\nC: EHLO desk.example.com\nS: 550 Not you",
        "- hang up",
        "S: 220 mx\nC: EHLO desk.example.com\nS: 250 mx\nC: MAIL FROM:*\n- hang up",
    ],
)
async def test_a_host_that_does_not_take_the_session_leaves_it_to_the_next(send: Send, greeting: str) -> None:
    async with smtp_server(greeting) as first, smtp_server(ACCEPTED) as second:
        result = await send(first.hop("mx1.example.org"), second.hop("mx2.example.org"))

    assert result.outcome is Outcome.ACCEPTED
    assert result.remote_host == "mx2.example.org"
    assert f"connected to mx1.example.org [127.0.0.1] port {first.port}" in [
        line.text for line in result.transcript
    ]


async def test_a_host_that_cannot_be_reached_is_named_with_the_reason(send: Send) -> None:
    port = _unused_port()
    result = await send(Hop("mx1.example.org", "127.0.0.1", port))

    text = f"mx1.example.org [127.0.0.1] port {port}: connection refused"
    assert result.report
    assert result.report.diagnostic_code == Diagnostic("x-local", text)
    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.CONNECT)
    assert result.report.status == EnhancedStatus(4, 4, 1)
    assert [line.text for line in result.transcript] == [text]


async def test_what_a_server_said_tells_more_than_a_dead_host_but_is_not_the_last_word(send: Send) -> None:
    dead = Hop("mx2.example.org", "127.0.0.1", _unused_port())
    async with smtp_server("S: 554 5.7.1 Your address is listed") as server:
        result = await send(server.hop("mx1.example.org"), dead)

    assert result.report
    assert result.report.diagnostic_code == Diagnostic("smtp", "554 5.7.1 Your address is listed")
    assert result.report.action is Action.DELAYED  # the dead host may take it tomorrow
    assert (result.outcome, result.remote_host) == (Outcome.DELAYED, "mx1.example.org")


async def test_where_every_host_refuses_the_session_for_good_the_message_fails(send: Send) -> None:
    async with smtp_server("S: 554 5.7.1 Listed", "S: 554 5.7.1 Listed") as server:
        result = await send(server.hop(), server.hop())

    assert (result.outcome, result.stage) == (Outcome.FAILED, Stage.CONNECT)
    assert str(result.reply) == "554 5.7.1 Listed"


async def test_a_server_without_ehlo_gets_helo(send: Send) -> None:
    script = ACCEPTED.replace("S: 250 mx.example.org", "S: 502 What?\nC: HELO desk.example.com\nS: 250 mx", 1)
    async with smtp_server(script) as server:
        assert (await send(server.hop())).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("said", "quoted"),
    [
        ("HTTP/1.1 400 Bad Request", "'HTTP/1.1 400 Bad Request'"),
        ("999 Hello", "'999 Hello'"),
        (r"2x0 \x00\xff\x1b", r"'2x0 \x00\xff\x1b'"),
    ],
)
async def test_what_is_no_reply_is_quoted_in_a_report_of_ours(send: Send, said: str, quoted: str) -> None:
    async with smtp_server(f"S: {said}\n- nothing at all") as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert result.report.diagnostic_code == Diagnostic(
        "x-local",
        f"mx.example.org [127.0.0.1] port {server.port}: said in place of the greeting: {quoted}",
    )
    assert result.report.status == EnhancedStatus(4, 5, 0)


async def test_a_positive_reply_in_the_wrong_place_is_no_answer(send: Send) -> None:
    async with smtp_server(TO_RCPT + "\nS: 354 Go ahead\n- nothing at all") as server:
        result = await send(server.hop())

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.RCPT)
    assert result.report
    assert "answered RCPT with '354 Go ahead', which is no answer to it" in result.report.diagnostic_code.text


async def test_a_second_reply_to_one_command_is_never_the_answer_to_the_next(send: Send) -> None:
    script = TO_MAIL + "\nS: 250 2.1.0 Ok\\r\\n250 2.1.5 Ok for whom?\n- nothing at all"
    async with smtp_server(script) as server:
        result = await send(server.hop())

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.RCPT)
    assert result.report
    assert "spoke unasked: '250 2.1.5 Ok for whom?'" in result.report.diagnostic_code.text


@pytest.mark.parametrize(
    "flood",
    [
        "550-" + "x" * 400 + "\\r\\n",  # a reply without an end
        "x" * 401,  # a line without an end
    ],
)
async def test_a_flood_is_cut_off_and_the_report_says_so(send: Send, flood: str) -> None:
    async with smtp_server(TO_RCPT + f"\nS: {flood * 100}\n- nothing at all") as server:
        result = await send(server.hop())

    assert result.outcome is Outcome.DELAYED
    assert result.report
    text = result.report.diagnostic_code.text
    assert result.report.diagnostic_code.type == "x-local"
    assert "octets in all)" in text
    assert len(text) < 1500


async def test_a_long_reply_is_kept_whole(send: Send) -> None:
    lines = [f"550{'-' if number < 60 else ' '}{number:03} {'x' * 480}" for number in range(61)]
    async with smtp_server(TO_RCPT + "".join(f"\nS: {line}" for line in lines)) as server:
        result = await send(server.hop())

    assert result.reply
    assert list(result.reply.lines) == lines


@pytest.mark.parametrize(
    "address",
    [
        "anna@example.org\r\nDATA",
        "anna@example.org\nDATA",
        "anna@example.org\0",
        "anna@example.org> SIZE=1",
        '"anna\r\n"@example.org',
        "two words@example.org",
    ],
)
def test_an_address_that_would_break_out_of_its_command_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in an SMTP command"):
        Envelope("", address, b"")
    with pytest.raises(ValueError, match="cannot stand in an SMTP command"):
        Envelope(address, "anna@example.org", b"")


@pytest.mark.parametrize("address", ['"two words"@example.org', '"a>b\\"c"@example.org', "postmaster"])
def test_an_odd_but_legal_address_is_taken(address: str) -> None:
    assert Envelope("", address, b"").rcpt_to == address


def test_an_envelope_needs_a_recipient() -> None:
    with pytest.raises(ValueError, match="recipient"):
        Envelope("", "", b"")


@pytest.mark.parametrize("hello", ["", "two words", "a\r\nb", "müller.example"])
def test_our_own_name_must_fit_behind_ehlo(hello: str) -> None:
    with pytest.raises(ValueError, match="EHLO"):
        Sessions(hello=hello)


async def test_an_attempt_without_a_hop_is_our_mistake(send: Send) -> None:
    with pytest.raises(ValueError, match="no way"):
        await send()


async def test_a_cancelled_attempt_leaves_no_connection_behind(open_sessions: OpenSessions) -> None:
    async with smtp_server("- nothing at all") as server:  # which ends when the client has hung up
        sessions = open_sessions()
        envelope = Envelope("b-7f3a@desk.example.com", "anna@example.org", MESSAGE)
        attempt = asyncio.create_task(
            sessions.deliver(envelope, route_to(server.hop()), before_content=nothing_to_note)
        )
        await server.connected.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt


def _unused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])
