"""One connection on the level of octets: aiosmtplib's protocol, and beside it every octet that a server said.

aiosmtplib pairs commands and replies, guards against injected commands and times out; but it joins the lines
of a reply and drops their codes. So we keep what came in, and cut the replies out of it ourselves.

Rule 1: a reply is taken only for the command that it answers. Octets that come when nothing was asked are a
fault, or a 421, and never the answer to the next command.
Rule 2: whatever a server sends, we keep at most LONGEST_REPLY octets of it.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Coroutine
from typing import Any, cast

from aiosmtplib import SMTPResponse, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol

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
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class WireFault(Exception):  # noqa: N818 - the world failed, not we
    """No reply came, or none that is one. The text has no name of the server in it yet."""

    def __init__(self, text: str, status: EnhancedStatus = BAD_CONNECTION, *, untrusted: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.untrusted = untrusted  # why a certificate is not trusted


class Wire(SMTPProtocol):
    """A connection to one server. Its methods raise WireFault where the connection or the protocol breaks."""

    def __init__(self) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._heard = bytearray()
        self._heard_too_much = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()

    @property
    def is_usable(self) -> bool:
        """Whether a next command makes sense: connected, and nothing was said unasked."""
        return self.is_connected and not self._heard

    @property
    def tls_version(self) -> str:
        """ "TLS 1.3", or "" without TLS."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport else None
        return str(tls.version()).replace("TLSv", "TLS ") if tls else ""

    async def greeting(self, *, seconds: float) -> SmtpReply:
        return await self._reply(self.read_response(), "the greeting", seconds)

    async def command(self, line: str, *, awaited: str, seconds: float) -> SmtpReply:
        """Say `line`, hear the answer. `awaited` names it for the text of a fault: "the reply to DATA"."""
        if self._heard:
            return self._unasked()
        return await self._reply(self.execute_command(line.encode()), awaited, seconds)

    async def handshake(self, context: ssl.SSLContext, *, host: str, seconds: float) -> None:
        """Go on in TLS: RFC 3207 section 4. The fault is `untrusted` where only the certificate was wrong."""
        if self._heard:  # RFC 3207 section 4.2: what was said before the handshake may be somebody else's
            raise WireFault(f"said in clear where TLS was to begin: {_quote(self._heard)}", PROTOCOL_BROKEN)
        if not self.is_connected:
            raise self._lost("beginning TLS")
        try:
            transport = await asyncio.get_running_loop().start_tls(
                cast(asyncio.WriteTransport, self.transport),
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
        for start in range(0, len(octets), BLOCK):
            if self._end_of_reply():
                break
            self._write_content(octets[start : start + BLOCK])
            await self._passed_on(seconds)
        if self._end_of_reply():
            return self._unasked(any_refusal=True)
        self._write_content(b".\r\n")
        return None

    async def content_reply(self, *, seconds: float) -> SmtpReply:
        """The answer to the final dot. A fault leaves it open whether the message arrived."""
        return await self._reply(self.read_response(), "the reply to the message", seconds)

    def abort(self) -> None:
        """Drop the connection, with all that is not yet written."""
        if self.transport is not None:
            cast(asyncio.WriteTransport, self.transport).abort()

    async def disconnect(self, *, seconds: float) -> None:
        """Close the connection in good manners, but do not wait longer than this."""
        if self.transport is None:
            return
        self.transport.close()
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            self.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._use(transport)

    def data_received(self, data: bytes) -> None:
        room = LONGEST_REPLY - len(self._heard)
        self._heard += data[:room]
        if len(data) > room:
            self._heard_too_much = True
            self.abort()
            return
        super().data_received(data)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writable.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._writable.set()
        self._closed.set()

    def _use(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        # "Writable" is to mean: all has been passed on. To asyncio's TLS a high limit of 0 is "always full".
        cast(asyncio.WriteTransport, transport).set_write_buffer_limits(high=1, low=0)

    async def _reply(
        self, answer: Coroutine[Any, Any, SMTPResponse], awaited: str, seconds: float
    ) -> SmtpReply:
        try:
            # Not aiosmtplib's timeout: before Python 3.12 its `wait_for` can swallow a cancellation.
            async with asyncio.timeout(seconds):
                await answer
        except TimeoutError as fault:
            raise WireFault(
                f"timed out after {seconds:g} seconds waiting for {awaited}{self._so_far()}"
            ) from fault
        except SMTPServerDisconnected as fault:
            raise self._lost(f"waiting for {awaited}", fault.__cause__) from fault
        except SMTPResponseException as fault:  # aiosmtplib's word for what it cannot read
            raise self._no_reply(awaited) from fault
        return self._cut_reply(awaited)

    def _end_of_reply(self) -> int:
        """Where the first reply in what was heard ends: behind the first line that no "-" continues; or 0."""
        start = 0
        while (line_end := self._heard.find(b"\n", start)) >= 0:
            if self._heard[start + 3 : start + 4] != b"-":
                return line_end + 1
            start = line_end + 1
        return 0

    def _cut_reply(self, awaited: str) -> SmtpReply:
        end = self._end_of_reply()
        try:
            reply = SmtpReply.from_wire(bytes(self._heard[:end]))
        except ValueError as fault:
            raise self._no_reply(awaited) from fault
        del self._heard[:end]
        return reply

    def _unasked(self, *, any_refusal: bool = False) -> SmtpReply:
        """What was said unasked, where it may be taken for an answer: 421, or a refusal amid the content."""
        quote = _quote(self._heard)
        reply = self._cut_reply("our next command")
        if reply.code == SERVICE_CLOSING or (any_refusal and not reply.is_positive):
            return reply
        raise WireFault(f"spoke unasked: {quote}", PROTOCOL_BROKEN)

    def _write_content(self, octets: bytes) -> None:
        try:
            self.write(octets)
        except SMTPServerDisconnected as fault:
            raise self._lost("sending the message", fault.__cause__) from fault

    async def _passed_on(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._writable.wait()
        except TimeoutError as fault:
            raise WireFault(f"timed out after {seconds:g} seconds sending the message") from fault
        if not self.is_connected and not self._end_of_reply():
            raise self._lost("sending the message")

    def _lost(self, doing: str, cause: BaseException | None = None) -> WireFault:
        if self._heard_too_much:
            text = f"answered with more than {LONGEST_REPLY:,} octets, beginning {_quote(self._heard)}"
            return WireFault(text, PROTOCOL_BROKEN)
        because = f" ({cause})" if cause and str(cause) else ""
        return WireFault(f"the connection was lost while {doing}{because}{self._so_far()}")

    def _no_reply(self, awaited: str) -> WireFault:
        return WireFault(f"said in place of {awaited}: {_quote(self._heard)}", PROTOCOL_BROKEN)

    def _so_far(self) -> str:
        return f"; it had said {_quote(self._heard)}" if self._heard else ""


def with_line_ends(message: bytes) -> bytes:
    """The message with CRLF at the end of each line and at its own. RFC 5321 section 2.3.8.

    No bare CR or LF reaches the wire: servers that disagree on what ends a line can be made to see two mails.
    """
    lines = _LINE_END.sub(b"\r\n", message)
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


def with_dots_doubled(message: bytes) -> bytes:
    """The message as DATA wants it, without the final dot: RFC 5321 section 4.5.2."""
    return _LEADING_DOT.sub(b"..", message)


def _quote(octets: bytes | bytearray) -> str:
    """Their words in a text of ours, as one line; the middle of a flood says how long it was."""
    text = octets.decode("utf-8", "backslashreplace").rstrip("\r\n")
    cut = text[:LONGEST_QUOTE]
    rest = f" … ({len(octets):,} octets in all)" if len(text) > LONGEST_QUOTE else ""
    return f"'{cut.translate(_VISIBLE)}'{rest}"
