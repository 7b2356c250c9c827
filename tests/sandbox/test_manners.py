"""Servers that make us wait, come back, or wonder: greylisting, rates, slow answers, silence, lost connections."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest

from telltale.cli.ports import free_block
from telltale.sandbox import Sandbox
from telltale.sandbox.events import Kind
from telltale.sandbox.hosts import (
    FIRST_OF_TWO,
    PROVIDER_DOMAINS,
    REFUSING_HOST,
    SILENT_HOST,
    SLOW_HOST,
    UNREACHABLE_HOST,
)
from telltale.sandbox.timings import Timings
from tests.sandbox.client import MAIL_FROM, Clock, client_of
from tests.sandbox.conftest import QUICK, Meet

every_provider = pytest.mark.parametrize("provider", PROVIDER_DOMAINS)


async def codes_of_tries(
    meet: Meet, recipient: str, *, tries: int, mail_from: str = MAIL_FROM
) -> list[bytes]:
    """The codes to RCPT in as many sessions."""
    provider = recipient.partition("@")[2].partition(".")[0].lower()
    codes = []
    for _ in range(tries):
        async with meet(provider) as client:
            codes.append((await client.begin(recipient, mail_from=mail_from))[:3])
    return codes


# Greylisting and rates


@every_provider
async def test_the_grey_list_opens_when_its_wait_is_over_and_stays_open(
    meet: Meet, clock: Clock, provider: str
) -> None:
    recipient = f"greylist@{provider}.sandbox.test"
    assert await codes_of_tries(meet, recipient, tries=1) == [b"450"]
    clock.advance(14.9)
    assert await codes_of_tries(meet, recipient, tries=1) == [b"450"]
    clock.advance(0.1)
    assert await codes_of_tries(meet, recipient, tries=2) == [b"250", b"250"]


async def test_the_grey_list_says_how_long_it_still_waits(meet: Meet, clock: Clock) -> None:
    async with meet("postfix") as client:
        first = await client.begin("greylist@ribeiro.example")
        clock.advance(10.5)
        second = await client.say("RCPT TO:<greylist@ribeiro.example>")

    assert first == (
        b"450 4.2.0 <greylist@ribeiro.example>: Recipient address rejected: Greylisted, try again in "
        b"15 seconds, see http://postgrey.schweikert.ch/help/ribeiro.example.html\r\n"
    )
    assert b"try again in 5 seconds" in second


async def test_the_grey_list_knows_a_sender_by_his_domain_and_each_recipient_alone(
    meet: Meet, clock: Clock
) -> None:
    await codes_of_tries(meet, "greylist@google.sandbox.test", tries=1, mail_from="one@lamp.example")
    clock.advance(15)

    async def code(recipient: str, mail_from: str) -> bytes:
        [code] = await codes_of_tries(meet, recipient, tries=1, mail_from=mail_from)
        return code

    assert await code("Greylist@Google.sandbox.test", "another@LAMP.example") == b"250"
    assert await code("greylist@google.sandbox.test", "one@other.example") == b"450"
    assert await code("greylist-2@google.sandbox.test", "one@lamp.example") == b"450"


@every_provider
async def test_the_third_try_in_a_row_is_within_the_rate_and_the_next_mail_begins_anew(
    meet: Meet, provider: str
) -> None:
    codes = await codes_of_tries(meet, f"rate-limited@{provider}.sandbox.test", tries=6)

    assert [code[:1] for code in codes] == [b"4", b"4", b"2"] * 2


@every_provider
async def test_a_server_that_says_421_closes_the_connection(meet: Meet, provider: str) -> None:
    async with meet(provider) as client:
        reply = await client.begin(f"421-always@{provider}.sandbox.test")
        assert reply.startswith(b"421")
        assert await client.rest() == b""


# Slow and silent


@every_provider
async def test_a_slow_answer_comes_after_its_time(meet: Meet, provider: str) -> None:
    async with meet(provider) as client:
        await client.hello()
        await client.say(f"MAIL FROM:<{MAIL_FROM}>")
        began = time.monotonic()
        assert (await client.say(f"RCPT TO:<slow@{provider}.sandbox.test>")).startswith(b"250")

    assert time.monotonic() - began >= QUICK.slow


@pytest.mark.parametrize("timings", [replace(QUICK, slow=60.0)])
async def test_a_slow_answer_holds_nobody_else_up(meet: Meet) -> None:
    async with meet("yahoo") as slow, meet("yahoo") as other:
        await slow.hello()
        await slow.send(f"MAIL FROM:<{MAIL_FROM}>\r\nRCPT TO:<slow@yahoo.sandbox.test>\r\n".encode())
        assert await slow.hear() == b"250 sender <b-7f3a@lamp.example> ok\r\n"
        assert (await other.deliver("anna@yahoo.sandbox.test")).startswith(b"250")


@every_provider
async def test_a_silent_server_keeps_the_connection_and_never_answers(
    sandbox: Sandbox, meet: Meet, provider: str
) -> None:
    recipient = f"silent@{provider}.sandbox.test"
    async with meet(provider) as client:
        await client.hello()
        await client.say(f"MAIL FROM:<{MAIL_FROM}>")
        await client.send(f"RCPT TO:<{recipient}>\r\nQUIT\r\n".encode())
        heard = await sandbox.wait_for(Kind.LOST, recipient=recipient)
        said = await client.hang_up()

    assert heard.detail == "no answer to RCPT"
    assert said == b""


# Lost connections


@every_provider
async def test_a_connection_lost_at_rcpt_ends_without_a_word(
    sandbox: Sandbox, meet: Meet, provider: str
) -> None:
    recipient = f"drop-at-rcpt@{provider}.sandbox.test"
    async with meet(provider) as client:
        assert await client.begin(recipient) == b""

    assert sandbox.messages_for(recipient) == []


@every_provider
async def test_a_connection_lost_within_the_content_waits_for_no_final_dot(
    sandbox: Sandbox, meet: Meet, provider: str
) -> None:
    recipient = f"drop-in-data@{provider}.sandbox.test"
    async with meet(provider) as client:
        await client.begin(recipient)
        assert (await client.say("DATA")).startswith(b"354")
        assert await client.rest() == b""

    assert sandbox.messages_for(recipient) == []
    assert sandbox.journal.events[-1].detail == "closed within the content"


@every_provider
async def test_a_connection_lost_after_the_final_dot_leaves_it_open_whether_the_mail_arrived(
    sandbox: Sandbox, meet: Meet, provider: str
) -> None:
    recipient = f"drop-after-data@{provider}.sandbox.test"
    async with meet(provider) as client:
        await client.begin(recipient)
        assert await client.hand_over() == b""

    assert sandbox.journal.events[-1].kind is Kind.LOST
    assert sandbox.journal.events[-1].detail == "closed instead of an answer to the final dot"


# Greetings


async def test_a_host_that_wants_no_mail_says_so_in_its_greeting(sandbox: Sandbox) -> None:
    async with client_of(sandbox.ports[REFUSING_HOST]) as client:
        said = await client.rest()

    assert said == f"554 {REFUSING_HOST} ESMTP not accepting connections\r\n".encode()


async def test_a_busy_host_says_421_and_closes(sandbox: Sandbox) -> None:
    async with client_of(sandbox.ports[FIRST_OF_TWO]) as client:
        said = await client.rest()

    assert said == (
        f"421 4.3.2 {FIRST_OF_TWO} Service not available, too many connections, closing channel\r\n".encode()
    )


async def test_a_slow_greeting_comes_after_its_time_and_the_mail_is_accepted(sandbox: Sandbox) -> None:
    began = time.monotonic()
    async with client_of(sandbox.ports[SLOW_HOST]) as client:
        assert (await client.deliver("anna@greeting-slow.sandbox.test")).startswith(b"250")

    assert time.monotonic() - began >= QUICK.slow


async def test_a_silent_host_lets_us_in_and_never_speaks(sandbox: Sandbox) -> None:
    async with client_of(sandbox.ports[SILENT_HOST]) as client:
        await client.send(b"EHLO desk.lamp.example\r\n")
        await sandbox.wait_for(Kind.LOST)
        assert await client.hang_up() == b""


async def test_a_host_behind_a_closed_port_refuses_the_connection(sandbox: Sandbox) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", sandbox.ports[UNREACHABLE_HOST])


# The whole


async def test_a_sandbox_that_stops_closes_each_connection_and_each_port(timings: Timings) -> None:
    async with Sandbox(desk_port=1, timings=timings) as sandbox:
        ports = [port for host, port in sandbox.ports.items() if host != UNREACHABLE_HOST]
        clients = [await asyncio.open_connection("127.0.0.1", port) for port in ports]
        for (reader, _), port in zip(clients, ports, strict=True):
            if port not in (sandbox.ports[SLOW_HOST], sandbox.ports[SILENT_HOST]):
                await reader.readline()

    for (_, writer), port in zip(clients, ports, strict=True):
        writer.transport.abort()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_port_that_is_taken_keeps_the_whole_sandbox_from_starting() -> None:
    first = free_block(22700, 3)
    with (
        socket.create_server(("127.0.0.1", first + 2)),
        pytest.raises(OSError, match="ddress already in use"),
    ):
        async with Sandbox(desk_port=1, smtp_port_base=first):
            pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", first)
