"""What a hostile or broken server can do at each step, on real sockets: the attempt ends, and says what happened."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from telltale.mail.report import Stage
from telltale.smtp.route import Hop
from telltale.smtp.session import Outcome
from tests.smtp.conftest import BRIEF, MESSAGE, Send
from tests.smtp.server import smtp_server

# What the client says, and the answer that lets it go on to the next step.
STEPS = [
    (Stage.CONNECT, b"", b"220 mx.example.org ESMTP"),
    (Stage.EHLO, b"EHLO", b"250 mx.example.org"),
    (Stage.MAIL, b"MAIL", b"250 2.1.0 Ok"),
    (Stage.RCPT, b"RCPT", b"250 2.1.5 Ok"),
    (Stage.DATA, b"DATA", b"354 Go ahead"),
    (Stage.CONTENT, b"", b"250 2.0.0 Ok"),
]
STAGES = [stage for stage, _, _ in STEPS]
LIMIT = {
    Stage.CONNECT: "greeting",
    Stage.EHLO: "hello",
    Stage.MAIL: "mail",
    Stage.RCPT: "rcpt",
    Stage.DATA: "data",
    Stage.CONTENT: "content",
}
Misdeed = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server_that(misdeed: Misdeed, stage: Stage) -> AsyncIterator[Hop]:
    """Behaves up to this stage; there it does as it is told, and then waits for the client to leave."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.append(task)
        try:
            for at, command, answer in STEPS:
                if at is Stage.CONTENT:
                    await reader.readuntil(b"\r\n.\r\n")
                elif command:
                    assert (await reader.readline()).startswith(command)
                if at is stage:
                    await misdeed(reader, writer)
                    await reader.readline()  # QUIT, or that the client hangs up
                    return
                writer.write(answer + b"\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has hung up: what these tests are about
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Hop("mx.example.org", "127.0.0.1", listener.sockets[0].getsockname()[1])
        await asyncio.gather(*tasks)
    finally:
        listener.close()
        await listener.wait_closed()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(
        1, 13, linger
    )  # SOL_SOCKET, SO_LINGER: an RST in place of a FIN
    writer.transport.abort()


async def _stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def _answer_by_half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"250-the first line\r\n250 the sec")


def _expected(stage: Stage) -> Outcome:
    return Outcome.UNCERTAIN if stage is Stage.CONTENT else Outcome.DELAYED


@pytest.mark.parametrize("stage", STAGES)
async def test_a_connection_reset_at_any_step_ends_the_attempt(send: Send, stage: Stage) -> None:
    async with server_that(_reset, stage) as hop:
        result = await send(hop)

    assert (result.outcome, result.stage, result.reply) == (_expected(stage), stage, None)
    assert result.report
    assert result.report.diagnostic_code.type == "x-local"
    assert "the connection was lost" in result.report.diagnostic_code.text
    assert str(result.report.status) == "4.4.2"


@pytest.mark.parametrize("stage", STAGES)
async def test_silence_at_any_step_ends_with_the_time_for_that_step(send: Send, stage: Stage) -> None:
    async with server_that(_stay_silent, stage) as hop:
        result = await send(hop, timeouts=replace(BRIEF, **{LIMIT[stage]: 0.05}))

    assert (result.outcome, result.stage) == (_expected(stage), stage)
    assert result.report
    assert "timed out after 0.05 seconds" in result.report.diagnostic_code.text


@pytest.mark.parametrize("stage", STAGES)
async def test_half_a_reply_is_none_and_is_quoted(send: Send, stage: Stage) -> None:
    async with server_that(_answer_by_half, stage) as hop:
        result = await send(hop, timeouts=replace(BRIEF, **{LIMIT[stage]: 0.1}))

    assert (result.outcome, result.stage) == (_expected(stage), stage)
    assert result.report
    assert r"it had said '250-the first line\r\n250 the sec'" in result.report.diagnostic_code.text


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("line", [b"250-" + b"x" * 500 + b"\r\n", b"x" * 506])
async def test_ten_megabytes_at_any_step_are_cut_off(send: Send, stage: Stage, line: bytes) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(20_000):
            writer.write(line)
            await writer.drain()

    async with server_that(flood, stage) as hop:
        result = await send(hop)

    assert (result.outcome, result.stage) == (_expected(stage), stage)
    assert result.report
    text = result.report.diagnostic_code.text
    assert "answered with more than 32,768 octets" in text
    assert len(text) < 1500


@pytest.mark.parametrize("stage", STAGES)
async def test_a_reply_in_another_tongue_at_any_step_is_kept_octet_by_octet(send: Send, stage: Stage) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write("550 5.7.1 refusé\r\n".encode("latin-1"))

    async with server_that(refuse, stage) as hop:
        result = await send(hop)

    assert (result.outcome, result.stage) == (Outcome.FAILED, stage)
    assert str(result.reply) == r"550 5.7.1 refus\xe9"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("nonsense", [b"\r\n", b"OK\r\n", b"150 \r\n", b"25 Ok\r\n", b"-250 x\r\n"])
async def test_what_is_no_reply_is_never_taken_for_one(send: Send, stage: Stage, nonsense: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(nonsense)

    async with server_that(babble, stage) as hop:
        result = await send(hop)

    assert result.outcome in (Outcome.DELAYED, Outcome.UNCERTAIN)
    assert result.reply is None


@pytest.mark.parametrize("stage", STAGES)
async def test_a_yes_of_another_kind_is_no_answer(send: Send, stage: Stage) -> None:
    answer = b"250 Ok\r\n" if stage in (Stage.CONNECT, Stage.DATA) else b"354 Go on\r\n"

    async def agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with server_that(agree, stage) as hop:
        result = await send(hop)

    assert (result.outcome, result.stage) == (_expected(stage), stage)
    assert result.report
    assert result.report.diagnostic_code.type == "x-local"


@pytest.mark.parametrize("stage", STAGES[:-1])
async def test_an_answer_before_the_question_ends_the_session(send: Send, stage: Stage) -> None:
    answer = dict(zip(STAGES, (answer for _, _, answer in STEPS), strict=True))[stage]

    async def answer_ahead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer + b"\r\n250 2.0.0 and whatever comes next\r\n")

    async with server_that(answer_ahead, stage) as hop:
        result = await send(hop)

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert "spoke unasked: '250 2.0.0 and whatever comes next'" in result.report.diagnostic_code.text


@pytest.mark.parametrize("stage", STAGES[1:-1])
async def test_a_421_before_the_content_leaves_the_mail_to_the_next_host(send: Send, stage: Stage) -> None:
    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 4.3.2 Shutting down\r\n")

    async with server_that(close, stage) as first, server_that(_stay_silent, Stage.CONNECT) as second:
        result = await send(first, second, timeouts=replace(BRIEF, greeting=0.05))

    assert str(result.reply) == "421 4.3.2 Shutting down"  # the words tell more than the second one's silence
    assert any(f"connected to {second}" == line.text for line in result.transcript)


async def test_a_4xx_for_the_recipient_is_no_reason_to_ask_another_host(send: Send) -> None:
    """Greylisting counts each host as a sender; and what one recipient meets is nothing to the others."""

    async def greylist(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"451 4.7.1 Greylisted\r\n")

    async with server_that(greylist, Stage.RCPT) as first, smtp_server() as second:
        result = await send(first, second.hop())

    assert (result.outcome, str(result.reply)) == (Outcome.DELAYED, "451 4.7.1 Greylisted")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("552 Too many recipients", Outcome.DELAYED),  # RFC 5321 section 4.5.3.1.10
        ("552 5.5.3 Too many recipients", Outcome.DELAYED),
        ("552 5.2.2 Over quota", Outcome.FAILED),  # the server says what it means
        ("552 5.2.3 Longer than this mailbox takes", Outcome.FAILED),
        ("552 5.3.4 Too big", Outcome.FAILED),
    ],
)
async def test_a_552_for_the_recipient_is_final_only_where_the_server_says_why(
    send: Send, reply: str, outcome: Outcome
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply.encode() + b"\r\n")

    async with server_that(refuse, Stage.RCPT) as hop:
        assert (await send(hop)).outcome is outcome


async def test_a_refusal_that_comes_in_two_pieces_around_the_final_dot_is_heard_whole(send: Send) -> None:
    """The first piece arrives while we still send: it is no answer yet, and it is not lost."""
    first_piece_is_out = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _, command, answer in STEPS[:-1]:
            if command:
                await reader.readline()
            writer.write(answer + b"\r\n")
        writer.write(b"552 5.3.4 too ")
        await writer.drain()
        first_piece_is_out.set()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"big\r\n")
        await reader.readline()
        writer.close()

    async def wait_for_the_first_piece() -> None:
        await first_piece_is_out.wait()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    hop = Hop("mx.example.org", "127.0.0.1", listener.sockets[0].getsockname()[1])
    result = await send(hop, before_content=wait_for_the_first_piece)
    listener.close()
    await listener.wait_closed()

    assert (result.outcome, str(result.reply)) == (Outcome.FAILED, "552 5.3.4 too big")


async def test_the_octets_that_went_out_are_counted(send: Send) -> None:
    async with server_that(_stay_silent, Stage.CONTENT) as hop:
        result = await send(hop, message=b"Subject: x\n\n.dot\n", timeouts=replace(BRIEF, content=0.05))

    assert result.outcome is Outcome.UNCERTAIN
    assert result.bytes_sent == len(b"Subject: x\r\n\r\n..dot\r\n")


@pytest.mark.parametrize("stage", STAGES[:-1])
async def test_where_no_content_went_out_none_is_counted(send: Send, stage: Stage) -> None:
    async with server_that(_reset, stage) as hop:
        assert (await send(hop, message=MESSAGE)).bytes_sent == 0


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\r.\r",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n\r.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\r\n",
    ],
)
async def test_no_end_of_a_message_inside_a_message_is_taken_for_one(send: Send, end: bytes) -> None:
    """SMTP smuggling: whatever ends a line for whomever, the only final dot is ours."""
    smuggled = (
        b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<ana@example.org>\r\nDATA\r\nSubject: evil\r\n\r\nevil"
    )
    script = """
        S: 220 mx
        C: EHLO desk.example.com
        S: 250 mx
        C: MAIL FROM:<b-7f3a@desk.example.com>
        S: 250 Ok
        C: RCPT TO:<anna@example.org>
        S: 250 Ok
        C: DATA
        S: 354 Go ahead
        C: (message)
        S: 250 Ok
    """
    async with smtp_server(script) as server:
        await send(server.hop(), message=b"Subject: x\r\n\r\nbody" + end + smuggled)

    [taken] = server.messages
    assert taken.endswith(b"evil\r\n")
    assert b"\r" not in taken.replace(b"\r\n", b"")
    assert b"\n" not in taken.replace(b"\r\n", b"")
    assert b"\r\n.\r\n" not in taken
