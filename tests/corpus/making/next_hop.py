"""An SMTP server that takes or refuses as its table says, and keeps what comes for the desk. RFC 5321.

It stands in for the servers of others, so it is as small as it can be: no TLS, no limits, one session a time
or many. All that it hears comes from the server that we look at, on loopback.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .world import HANG_UP, TOO_LARGE, Host

_SIZE = re.compile(r" SIZE=(\d+)")
_PATH = re.compile(r"[^<]*<([^>]*)>")


@dataclass(slots=True)
class Envelope:
    """One SMTP transaction."""

    mail_from: str = ""
    rcpt_to: list[str] = field(default_factory=list)


Taken = Callable[[Envelope, bytes], None]


async def listen(host: Host, taken: Taken) -> asyncio.Server:
    """Be this host on port 25 of its address; `taken` gets each mail that it accepts."""
    return await asyncio.start_server(lambda r, w: _Session(host, taken, r, w).run(), host.address, 25)


class _Session:
    def __init__(
        self, host: Host, taken: Taken, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host, self._taken, self._reader, self._writer = host, taken, reader, writer
        self._envelope = Envelope()

    async def run(self) -> None:
        try:
            await self._say(self._host.greeting or f"220 {self._host.name} ESMTP".encode())
            while line := await self._reader.readline():
                if not await self._answer(line.decode("utf-8", "surrogateescape").strip()):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or we stop: nothing is left to say
        finally:
            self._writer.close()

    async def _say(self, reply: bytes) -> None:
        self._writer.write(reply + b"\r\n")
        await self._writer.drain()

    async def _answer(self, line: str) -> bool:
        """Answer one command; False where the session ends with it."""
        verb = line[:4].upper()
        if self._host.greeting and verb != "QUIT":
            await self._say(b"503 5.5.1 " + self._host.greeting[4:].splitlines()[0])
            return not self._host.greeting.startswith(b"421")
        if verb == "DATA":
            await self._data()
            return True
        reply = self._reply_to(verb, line)
        if reply != HANG_UP:
            await self._say(reply)
        return verb != "QUIT" and reply != HANG_UP

    def _reply_to(self, verb: str, line: str) -> bytes:
        if verb == "EHLO":
            return self._greet()
        if verb == "MAIL":
            return self._mail(line)
        if verb == "RCPT":
            return self._rcpt(_path(line))
        return b"221 2.0.0 Bye" if verb == "QUIT" else b"250 2.0.0 Ok"

    def _greet(self) -> bytes:
        lines = (self._host.name, *self._host.extensions)
        return b"\r\n".join(f"250-{line}".encode() for line in lines[:-1]) + f"\r\n250 {lines[-1]}".encode()

    def _mail(self, line: str) -> bytes:
        size = _SIZE.search(line)
        if size and int(size[1]) > self._host.size_limit:
            return TOO_LARGE
        self._envelope = Envelope(mail_from=_path(line))
        return b"250 2.1.0 Ok"

    def _rcpt(self, address: str) -> bytes:
        reply = self._host.at_rcpt.get(address.rpartition("@")[0])
        if reply is None:
            self._envelope.rcpt_to.append(address)
            return b"250 2.1.5 Ok"
        return reply

    async def _data(self) -> None:
        if not self._envelope.rcpt_to:
            await self._say(b"554 5.5.1 No valid recipients")
            return
        await self._say(b"354 Go on")
        mail = await self._reader.readuntil(b"\r\n.\r\n")
        names = [address.rpartition("@")[0] for address in self._envelope.rcpt_to]
        refusal = next(filter(None, map(self._host.behind_the_dot.get, names)), b"")
        if not refusal:
            self._taken(self._envelope, mail[:-3].replace(b"\r\n..", b"\r\n."))
        await self._say(refusal or b"250 2.0.0 Ok: kept")


def _path(line: str) -> str:
    """The address in "MAIL FROM:<ana@lamp.example> SIZE=…"."""
    found = _PATH.match(line)
    return found[1] if found else ""
