"""One session at the door: SMTP (RFC 5321) and LMTP (RFC 2033), aiosmtpd's with limits of our own.

Rule 1: nobody holds the door for ever: not with silence, not with a trickle, not with a mail that never ends.
Rule 2: a line may be long. RFC 5321 section 4.5.3.1.6 allows 998 octets and the world sends more; a bounce that we
refuse for it is a failure that nobody learns of.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.proxy_protocol import ProxyData
from aiosmtpd.smtp import SMTP, Envelope, Session

from telltale.inbound.guests import Guests

COMMAND_TIMEOUT = 300  # seconds, RFC 5321 section 4.5.3.2.7; also between two pieces of a mail
LONGEST_MAIL = 3600  # seconds from DATA to the final dot
LONGEST_LINE = 256 * 1024  # octets
LONGEST_COMMAND = 2048  # octets
PROXY_TIMEOUT = 5  # seconds for the line that a proxy sends first
TIMES_TOO_LARGE = 3  # so far we read on, to say 552 where the other side hears it; then we hang up
MOST_REFUSALS = 20  # recipients and commands of one session; Postfix's smtpd_hard_error_limit

logger = logging.getLogger(__name__)


class SMTPSession(SMTP):
    """A session with somebody of the world."""

    command_size_limit = LONGEST_COMMAND
    line_length_limit = LONGEST_LINE

    def __init__(self, handler: Any, *, guests: Guests, **options: Any) -> None:
        self.command_size_limits = defaultdict(lambda: LONGEST_COMMAND)
        super().__init__(
            handler,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),  # nobody signs in here
            timeout=COMMAND_TIMEOUT,
            proxy_protocol_timeout=PROXY_TIMEOUT if guests.proxies else None,
            **options,
        )
        self.guests = guests
        self.refusals = 0
        self.recipients_of_data = 0  # while a mail comes in
        self._guest: str | None = None  # who was let in
        self._octets = 0
        self._data_ends: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_new = self._original_transport is None  # the second call is the same one, with TLS
        super().connection_made(transport)
        if not is_new:
            return
        name = transport.get_extra_info("peername")
        peer = str(name[0]) if name else ""
        if not self.guests.proxies:
            self.let_in(peer)
        elif not self.guests.is_proxy(peer):
            self.hang_up("554 5.7.1 Mail comes here through our proxy alone")

    def let_in(self, peer: str) -> bool:
        """Whether this one may stay; otherwise it has been told why not, and the connection ends."""
        if refusal := self.guests.come(peer):
            logger.warning("turned away: %s", refusal)
            self.hang_up(refusal)
            return False
        self._guest = peer
        return True

    def count_refusal(self, peer: str) -> None:
        """Whoever guesses addresses has to come again for more guesses."""
        self.refusals += 1
        if self.refusals >= MOST_REFUSALS and not self.guests.is_trusted(peer):
            self.hang_up("421 4.7.0 Too many refused recipients")

    def hang_up(self, reply: str) -> None:
        """Say why and end the connection."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.write(f"{reply}\r\n".encode())
            self.transport.close()
        if self._handler_coroutine:
            self._handler_coroutine.cancel()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._guest is not None:
            self.guests.leave(self._guest)
            self._guest = None

    def data_received(self, data: bytes) -> None:
        if self.recipients_of_data and self.transport is not None:
            self._reset_timeout()
            self._octets += len(data)
            if self.data_size_limit and self._octets > self.data_size_limit * TIMES_TOO_LARGE:
                self.hang_up("552 5.3.4 Too much mail data")
        super().data_received(data)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802  (aiosmtpd's name)
        self.recipients_of_data = len(self.envelope.rcpt_tos) if self.envelope else 0
        self._octets = 0
        self._data_ends = self.loop.call_later(
            LONGEST_MAIL, self.hang_up, "421 4.4.2 This mail takes too long"
        )
        try:
            await super().smtp_DATA(arg)
        finally:
            self._data_ends.cancel()
            self.recipients_of_data = 0


class LMTPSession(LMTP, SMTPSession):
    """A session with our own mail server: one reply for each recipient behind the mail, RFC 2033 section 4.2."""

    async def push(self, status: str | bytes) -> None:
        reply = status.encode() if isinstance(status, str) else status
        times = 1
        if self.recipients_of_data and reply[:3] not in (b"354", b"503", b"501"):
            times = self.recipients_of_data
        await super().push(b"\r\n".join([reply] * times))


def greeting(responses: list[str]) -> list[str]:
    """What EHLO answers: aiosmtpd's list, without a sign-in that nobody can use, with what we can beside it."""
    first, *others = [line for line in responses if not line.startswith("250-AUTH")]
    return [first, "250-PIPELINING", *others]


def from_proxy(server: SMTP, session: Session, envelope: Envelope, proxy: ProxyData) -> bool:
    """Who is behind the proxy. A proxy that asks for itself whether we live has no address to tell."""
    if proxy.src_addr:
        session.peer = cast(Any, (str(proxy.src_addr), proxy.src_port or 0))  # as the socket gives it
    peer = str(session.peer[0]) if session.peer else ""
    return isinstance(server, SMTPSession) and server.let_in(peer)
