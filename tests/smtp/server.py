"""An SMTP server that says its lines and insists on hearing ours.

    S: 220 mx.example.org ESMTP     it says this line, and CRLF
    S: 550 bo\xeete inconnue        escapes are those of a Python string
    C: MAIL FROM:<a@example.com>    it must hear exactly this line
    C: MAIL FROM:*                  a final "*" stands for any rest
    C: (message)                    it must hear a message, up to its final dot; kept in `messages`
    - nothing at all                it waits until the client hangs up
    - hang up                       it closes the connection
    - begin TLS                     the handshake, which must succeed
    - fail at TLS                   the handshake, which must not
    - be left at TLS                the handshake, at the end of which or behind it the client hangs up

The first connection plays the first script, the second the second. Behind the last line of its script the
server takes a QUIT, or that the client hangs up.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from telltale.smtp.route import Hop

PATIENCE = 5.0  # seconds: a test that waits longer for the client has failed


class SmtpServer:
    """What the server heard, and where it listens."""

    def __init__(self, scripts: tuple[str, ...], *, bytewise: bool, tls: ssl.SSLContext) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self.connected = asyncio.Event()
        self.port = 0
        self._scripts = [_lines(script) for script in scripts]
        self._bytewise = bytewise
        self._tls = tls
        self._faults: list[BaseException] = []
        self._players: list[asyncio.Task[None]] = []

    def hop(self, host: str = "mx.example.org") -> Hop:
        return Hop(host, "127.0.0.1", self.port)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self.connected.set()
        task = asyncio.current_task()
        assert task
        self._players.append(task)
        try:
            assert number < len(self._scripts), f"connection {number + 1} was not expected"
            await self._play(self._scripts[number], reader, writer)
        except (AssertionError, OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
            self._faults.append(fault)
        finally:
            writer.close()

    async def check(self) -> None:
        """Raise what went otherwise than in the scripts."""
        if self._players:
            await asyncio.wait(self._players, timeout=PATIENCE)
        for fault in self._faults:
            raise AssertionError(f"the client left the script: {fault!r}") from fault
        assert self.connections == len(self._scripts), "not every script was played"

    async def _play(
        self, script: list[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for line in script:
            match line.partition(" "):
                case ("S:", _, text):
                    await self._say(writer, _octets(text) + b"\r\n")
                case ("C:", _, expected):
                    await self._hear(reader, expected)
                case ("-", _, "begin TLS"):
                    await writer.start_tls(self._tls)
                case ("-", _, ending):
                    await self._end(ending, reader, writer)
                    return
                case _:
                    raise AssertionError(f"no line of a script: {line!r}")
        await self._end("goodbye", reader, writer)

    async def _hear(self, reader: asyncio.StreamReader, expected: str) -> None:
        if expected == "(message)":
            message = await asyncio.wait_for(reader.readuntil(b"\r\n.\r\n"), PATIENCE)
            self.messages.append(message.removesuffix(b".\r\n"))
        else:
            _insist(expected, await asyncio.wait_for(reader.readline(), PATIENCE))

    async def _end(self, how: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match how:
            case "hang up":
                pass
            case "nothing at all":
                with suppress(ConnectionResetError):  # a way to hang up, too
                    await asyncio.wait_for(reader.read(), PATIENCE)
            case "fail at TLS":
                await self._fail_at_tls(writer)
            case "be left at TLS":
                with suppress(ConnectionResetError):
                    await writer.start_tls(self._tls)
                    await asyncio.wait_for(reader.read(), PATIENCE)
            case "goodbye":
                await self._take_leave(reader, writer)
            case _:
                raise AssertionError(f"no such stage direction: {how!r}")

    async def _say(self, writer: asyncio.StreamWriter, octets: bytes) -> None:
        pieces = [octets[i : i + 1] for i in range(len(octets))] if self._bytewise else [octets]
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async def _fail_at_tls(self, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.start_tls(self._tls)
        except OSError:
            return
        raise AssertionError("the TLS handshake succeeded")

    async def _take_leave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = await asyncio.wait_for(reader.readline(), PATIENCE)
        assert last in (b"QUIT\r\n", b""), f"behind the end of the script came {last!r}"
        if last:
            writer.write(b"221 2.0.0 Bye\r\n")
            await writer.drain()


@asynccontextmanager
async def smtp_server(
    *scripts: str, bytewise: bool = False, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[SmtpServer]:
    """A server for as many connections as there are scripts, and a check that all went as written."""
    server = SmtpServer(scripts, bytewise=bytewise, tls=tls or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    listener = await asyncio.start_server(server.meet, "127.0.0.1", port)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
        await server.check()
    finally:
        listener.close()
        await listener.wait_closed()


def _lines(script: str) -> list[str]:
    return [line.strip() for line in script.splitlines() if line.strip()]


def _octets(text: str) -> bytes:
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def _insist(expected: str, heard: bytes) -> None:
    line = heard.decode().removesuffix("\r\n")
    assert heard.endswith(b"\r\n"), f"expected {expected!r}, heard {heard!r}"
    fits = line.startswith(expected[:-1]) if expected.endswith("*") else line == expected
    assert fits, f"expected {expected!r}, heard {line!r}"
