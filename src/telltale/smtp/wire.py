"""One connection on the level of octets: a command out, a reply in, every octet of it kept.

Rule 1: a reply is taken only for the command that it answers. Octets that come when nothing was asked are a
fault, or a 421, and never the answer to the next command.
Rule 2: whatever a server sends, we keep at most LONGEST_REPLY octets of it.
Rule 3: no control character of ours leaves in a command, and no bare CR or LF in a message.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import sys
from collections.abc import Sequence
from typing import cast

from telltale.mail.reply import SmtpReply
from telltale.mail.status import EnhancedStatus

LONGEST_REPLY = 32 * 1024  # octets; RFC 5321 section 4.5.3.1.5 lets a reply line have 512
LONGEST_QUOTE = 1000  # characters of what was no reply, in a text of ours
BLOCK = 64 * 1024  # octets of content that are written at once
SERVICE_CLOSING = 421  # RFC 5321 section 3.8: the one reply that a server may send unasked

BAD_CONNECTION = EnhancedStatus(4, 4, 2)
PROTOCOL_BROKEN = EnhancedStatus(4, 5, 0)
CRYPTOGRAPHIC_FAILURE = EnhancedStatus(4, 7, 5)

# Control characters would break our line, and PostgreSQL takes no NUL.
_VISIBLE = {code: repr(chr(code))[1:-1] for code in (*range(32), 127)}
_LINE_END = re.compile(rb"\r\n|\r|\n")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


class WireFault(Exception):  # noqa: N818 - the world failed, not we
    """No reply came, or none that is one. The text has no name of the server in it yet."""

    def __init__(self, text: str, status: EnhancedStatus = BAD_CONNECTION, *, untrusted: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.untrusted = untrusted  # why a certificate is not trusted


class Wire(asyncio.Protocol):
    """A connection to one server. Its methods raise WireFault where the connection or the protocol breaks."""

    def __init__(self) -> None:
        self.content_octets = 0  # of the message under way, passed on to the kernel
        self._transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._line_start = (
            0  # where the first line of `_heard` begins that has not ended, or not been looked at
        )
        self._heard_too_much = False
        self._owed = 0  # replies to commands that were written together
        self._lost_because = ""
        self._news = asyncio.Event()  # something was heard, or the connection is lost
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_usable(self) -> bool:
        """Whether a next command makes sense: connected, every answer heard, and nothing said unasked."""
        return self.is_connected and not self._owed and not self._heard

    @property
    def tls(self) -> ssl.SSLObject | None:
        """What Python knows of the TLS session; None without TLS."""
        return self._transport.get_extra_info("ssl_object") if self._transport else None

    @property
    def certificate_chain(self) -> tuple[bytes, ...]:
        """The server's certificates in DER, its own first. Before Python 3.13 only that one can be had."""
        if self.tls is None:
            return ()
        if sys.version_info >= (3, 13):
            return tuple(self.tls.get_unverified_chain())
        own = self.tls.getpeercert(binary_form=True)
        return (own,) if own else ()

    async def greeting(self, *, seconds: float) -> SmtpReply:
        return await self._reply("the greeting", seconds)

    async def command(self, line: str, *, awaited: str, seconds: float) -> SmtpReply:
        """Say `line`, hear the answer. `awaited` names it for the text of a fault: "the reply to DATA"."""
        if self._heard:
            return self._unasked()
        self._write(_commands([line]), doing=f"waiting for {awaited}")
        return await self._reply(awaited, seconds)

    def say_together(self, lines: Sequence[str]) -> None:
        """Say several commands in one go: RFC 2920 section 3.1. Each is then owed an `answer`.

        Nothing is said, and nothing owed, where the connection is not usable: the next `command` tells why.
        """
        octets = _commands(lines)
        if self.is_usable:
            self._write(octets, doing="writing commands")
            self._owed = len(lines)

    @property
    def owes_answers(self) -> bool:
        return self._owed > 0

    async def answer(self, *, awaited: str, seconds: float) -> SmtpReply:
        """The reply to the next of the commands that were said together."""
        reply = await self._reply(awaited, seconds)
        self._owed -= 1
        return reply

    async def handshake(self, context: ssl.SSLContext, *, host: str, seconds: float) -> None:
        """Go on in TLS: RFC 3207 section 4. The fault is `untrusted` where only the certificate was wrong."""
        if self._heard:  # RFC 3207 section 4.2: what was said before the handshake may be somebody else's
            raise WireFault(f"said in clear where TLS was to begin: {_quote(self._heard)}", PROTOCOL_BROKEN)
        if not self.is_connected:
            raise self._lost("beginning TLS")
        try:
            transport = await asyncio.get_running_loop().start_tls(
                cast(asyncio.WriteTransport, self._transport),
                self,
                context,
                server_hostname=host,
                ssl_handshake_timeout=seconds,
            )
        except ssl.SSLCertVerificationError as fault:
            text = f"its certificate is not trusted: {fault.verify_message}"
            raise WireFault(text, CRYPTOGRAPHIC_FAILURE, untrusted=fault.verify_message) from fault
        except OSError as fault:  # ssl.SSLError, a lost connection, and a timeout are all of this kind
            text = f"TLS failed: {fault or 'the connection was lost'}"
            raise WireFault(text, CRYPTOGRAPHIC_FAILURE) from fault
        if transport is None:
            raise self._lost("beginning TLS")
        self._use(transport)

    async def send_content(self, octets: bytes, *, seconds: float) -> SmtpReply | None:
        """Write the content and its final dot. A refusal that comes before we have ended is returned.

        Until this returns None the final dot has not been written, and no server may deliver the message.
        """
        self.content_octets = 0
        for start in range(0, len(octets), BLOCK):
            if self._end_of_reply():
                break
            block = octets[start : start + BLOCK]
            self._write(block, doing="sending the message")
            await self._passed_on(seconds)
            self.content_octets += len(block)
        if self._end_of_reply():
            return self._unasked(any_refusal=True)
        self._write(b".\r\n", doing="sending the message")
        return None

    async def content_reply(self, *, seconds: float) -> SmtpReply:
        """The answer to the final dot. A fault leaves it open whether the message arrived."""
        return await self._reply("the reply to the message", seconds)

    def abort(self) -> None:
        """Drop the connection, with all that is not yet written."""
        if self._transport is not None:
            self._transport.abort()

    async def disconnect(self, *, seconds: float) -> None:
        """Close the connection in good manners, but do not wait longer than this."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            self.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._use(transport)

    def data_received(self, data: bytes) -> None:
        room = LONGEST_REPLY - len(self._heard)
        self._heard += data[:room]
        if len(data) > room:
            self._heard_too_much = True
            self.abort()
        self._news.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost_because = _reason(exc)
        self._news.set()
        self._writable.set()
        self._closed.set()

    def _use(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # "Writable" is to mean: all has been passed on. To asyncio's TLS a high limit of 0 is "always full".
        self._transport.set_write_buffer_limits(high=1, low=0)

    def _write(self, octets: bytes, *, doing: str) -> None:
        if self._transport is None or self._transport.is_closing():
            raise self._lost(doing)
        self._transport.write(octets)

    async def _reply(self, awaited: str, seconds: float) -> SmtpReply:
        if self._end_of_reply():  # of commands that were said together, most answers come together
            return self._cut_reply(awaited)
        try:
            async with asyncio.timeout(seconds):
                while not self._end_of_reply():
                    if not self.is_connected:
                        raise self._lost(f"waiting for {awaited}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as fault:
            text = f"timed out after {seconds:g} seconds waiting for {awaited}{self._so_far()}"
            raise WireFault(text) from fault
        return self._cut_reply(awaited)

    def _end_of_reply(self) -> int:
        """Where the first reply in what was heard ends: behind the first line that no "-" continues; or 0."""
        while (line_end := self._heard.find(b"\n", self._line_start)) >= 0:
            if self._heard[self._line_start + 3 : self._line_start + 4] != b"-":
                return line_end + 1
            self._line_start = line_end + 1
        return 0

    def _cut_reply(self, awaited: str) -> SmtpReply:
        end = self._end_of_reply()
        try:
            reply = SmtpReply.from_wire(bytes(self._heard[:end]))
        except ValueError as fault:
            raise WireFault(f"said in place of {awaited}: {_quote(self._heard)}", PROTOCOL_BROKEN) from fault
        del self._heard[:end]
        self._line_start = 0
        return reply

    def _unasked(self, *, any_refusal: bool = False) -> SmtpReply:
        """What was said unasked, where it may be taken for an answer: 421, or a refusal amid the content."""
        quote = _quote(self._heard)
        reply = self._cut_reply("our next command")
        if reply.code == SERVICE_CLOSING or (any_refusal and not reply.is_positive):
            return reply
        raise WireFault(f"spoke unasked: {quote}", PROTOCOL_BROKEN)

    async def _passed_on(self, seconds: float) -> None:
        if not self._writable.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._writable.wait()
            except TimeoutError as fault:
                raise WireFault(f"timed out after {seconds:g} seconds sending the message") from fault
        if not self.is_connected and not self._end_of_reply():
            raise self._lost("sending the message")

    def _lost(self, doing: str) -> WireFault:
        if self._heard_too_much:
            text = f"answered with more than {LONGEST_REPLY:,} octets, beginning {_quote(self._heard)}"
            return WireFault(text, PROTOCOL_BROKEN)
        because = f" ({self._lost_because})" if self._lost_because else ""
        return WireFault(f"the connection was lost while {doing}{because}{self._so_far()}")

    def _so_far(self) -> str:
        return f"; it had said {_quote(self._heard)}" if self._heard else ""


def _commands(lines: Sequence[str]) -> bytes:
    if any(map(_CONTROL_CHARACTER.search, lines)):
        raise ValueError("a command with a control character")
    return "".join(f"{line}\r\n" for line in lines).encode()


def with_line_ends(message: bytes) -> bytes:
    """The message with CRLF at the end of each line and at its own. RFC 5321 section 2.3.8.

    No bare CR or LF reaches the wire: servers that disagree on what ends a line can be made to see two mails.
    """
    line_ends = message.count(b"\r\n")
    is_right = message.count(b"\r") == line_ends == message.count(b"\n")  # as a rule, and counting is quick
    lines = message if is_right else _LINE_END.sub(b"\r\n", message)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def with_dots_doubled(message: bytes) -> bytes:
    """The message as DATA wants it, without the final dot: RFC 5321 section 4.5.2. Its line ends are right."""
    doubled = message.replace(b"\n.", b"\n..")
    return b"." + doubled if message.startswith(b".") else doubled


def _quote(octets: bytes | bytearray) -> str:
    """Their words in a text of ours, as one line; the middle of a flood says how long it was."""
    text = octets.decode("utf-8", "backslashreplace").rstrip("\r\n")
    cut = text[:LONGEST_QUOTE]
    rest = f" … ({len(octets):,} octets in all)" if len(text) > LONGEST_QUOTE else ""
    return f"'{cut.translate(_VISIBLE)}'{rest}"


def _reason(fault: Exception | None) -> str:
    """Why a connection was lost, in the system's words; "" where the other side just closed it."""
    if isinstance(fault, OSError) and fault.errno and not isinstance(fault, ssl.SSLError):
        return os.strerror(fault.errno).lower()
    return str(fault or "")
