"""What stands around the sandbox in its tests: a client, a desk that takes mail, and a clock that is set by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiosmtpd.smtp

PATIENCE = 5.0  # seconds: a test that waits longer has failed
MAIL_FROM = "b-7f3a@lamp.example"
MESSAGE = b"From: maya@lamp.example\r\nSubject: Your lamp\r\nMessage-ID: <7@lamp.example>\r\n\r\nIt is on its way.\r\n"


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """Says lines to a server and returns what it answers, octet for octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def hear(self) -> bytes:
        """One whole reply, with its line ends; b"" where the server has closed the connection."""
        octets = b""
        async with asyncio.timeout(PATIENCE):
            while not octets or octets.splitlines()[-1][3:4] == b"-":
                line = await self._line()
                if not line:
                    return octets
                octets += line
        return octets

    async def say(self, line: str) -> bytes:
        """One command, and the reply to it."""
        await self.send(line.encode() + b"\r\n")
        return await self.hear()

    async def send(self, octets: bytes) -> None:
        self._writer.write(octets)
        await self._writer.drain()

    async def rest(self) -> bytes:
        """All that the server still says before it closes the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._reader.read()

    async def hang_up(self) -> bytes:
        """Says that no more comes, and returns what the server still said."""
        self._writer.write_eof()
        return await self.rest()

    def close(self) -> None:
        self._writer.transport.abort()

    async def begin(self, rcpt_to: str, *, mail_from: str = MAIL_FROM) -> bytes:
        """From the greeting to RCPT; the reply to RCPT."""
        await self.hello()
        await self.say(f"MAIL FROM:<{mail_from}>")
        return await self.say(f"RCPT TO:<{rcpt_to}>")

    async def hello(self) -> bytes:
        """The greeting and EHLO; the reply to EHLO."""
        await self.hear()
        return await self.say("EHLO desk.lamp.example")

    async def hand_over(self, message: bytes = MESSAGE) -> bytes:
        """DATA, the content and the final dot; the reply to the dot. Dots are the caller's to double."""
        assert (await self.say("DATA")).startswith(b"354")
        await self.send(message + b".\r\n")
        return await self.hear()

    async def deliver(self, rcpt_to: str, *, mail_from: str = MAIL_FROM, message: bytes = MESSAGE) -> bytes:
        """A whole session to a recipient who is not refused; the reply to the final dot."""
        assert (await self.begin(rcpt_to, mail_from=mail_from)).startswith(b"250")
        return await self.hand_over(message)

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ConnectionError:
            return b""


@asynccontextmanager
async def client_of(port: int) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail that the desk took."""

    mail_from: str  # "<>" for the null sender: aiosmtpd keeps the brackets of that one alone
    rcpt_to: str
    content: bytes


class Desk:
    """The desk's door as far as it matters here: takes each mail, or answers `refusals` first."""

    def __init__(self) -> None:
        self.letters: asyncio.Queue[Letter] = asyncio.Queue()
        self.refusals: list[str] = []
        self.port = 0

    async def handle_DATA(  # noqa: N802  (aiosmtpd's name)
        self, server: Any, session: Any, envelope: aiosmtpd.smtp.Envelope
    ) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        content = envelope.original_content or b""
        self.letters.put_nowait(Letter(envelope.mail_from or "", envelope.rcpt_tos[0], content))
        return "250 2.0.0 Stored"

    async def next_letter(self) -> Letter:
        async with asyncio.timeout(PATIENCE):
            return await self.letters.get()


@asynccontextmanager
async def running_desk() -> AsyncIterator[Desk]:
    desk, loop = Desk(), asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: aiosmtpd.smtp.SMTP(desk, hostname="mx.lamp.example", enable_SMTPUTF8=True, loop=loop),
        "127.0.0.1",
        0,
    )
    desk.port = listener.sockets[0].getsockname()[1]
    try:
        yield desk
    finally:
        listener.close()
        await listener.wait_closed()
