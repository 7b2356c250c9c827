"""One SMTP session with one host: RFC 5321 sections 3.1 to 3.8, STARTTLS (RFC 3207), AUTH (RFC 4954).

Rule 1: before the content nothing is delivered. Where a host refuses the session or is lost, try the next.
Rule 2: once the final dot is written, only the host's own answer says what became of the message.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from aiosmtplib.auth import auth_login_encode, auth_plain_encode
from aiosmtplib.esmtp import parse_esmtp_extensions

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Stage
from telltale.mail.status import EnhancedStatus
from telltale.smtp.envelope import Envelope, with_ascii_domain
from telltale.smtp.obstacle import Obstacle, Outcome, Stopped, TlsFailed
from telltale.smtp.route import Hop, Relay, Security
from telltale.smtp.transcript import Transcript
from telltale.smtp.wire import (
    PROTOCOL_BROKEN,
    SERVICE_CLOSING,
    Wire,
    WireFault,
    with_dots_doubled,
    with_line_ends,
)

NO_ANSWER = EnhancedStatus(4, 4, 1)
SECURITY_NOT_SUPPORTED = EnhancedStatus(4, 7, 4)
MESSAGE_TOO_LARGE = EnhancedStatus(5, 3, 4)
NON_ASCII_NOT_SUPPORTED = EnhancedStatus(5, 6, 7)

_NO_EHLO = {500, 502}  # RFC 5321 section 3.2: such a server may know HELO
_BEFORE_MAIL = {Stage.CONNECT, Stage.EHLO, Stage.STARTTLS, Stage.AUTH}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait at each step, in seconds: RFC 5321 section 4.5.3.2, where it names a step."""

    connect: float = 30
    greeting: float = 300
    hello: float = 300
    tls: float = 60
    auth: float = 120
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180  # until the kernel has taken the next part of the content
    content: float = 600  # for the answer to the final dot
    reset: float = 20  # on a connection that is used again; a slow one is replaced
    quit: float = 5  # nobody waits for a goodbye


RFC_5321 = Timeouts()


class Tls(StrEnum):
    """What we ask of TLS on a connection."""

    VERIFIED = "verified"  # the certificate must be that of the host
    UNVERIFIED = "unverified"  # encrypt, to whomever: RFC 7435
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Client:
    """What is the same for all our sessions. `hello` is our name in EHLO."""

    hello: str
    timeouts: Timeouts
    verifying: ssl.SSLContext
    unverifying: ssl.SSLContext


class Connection:
    """A session with one host, from connecting to QUIT: one message after another, never two at once.

    Every method but `reset` and `quit` raises `Stopped` where the way ends.
    """

    def __init__(self, client: Client, hop: Hop, relay: Relay | None, transcript: Transcript) -> None:
        self.hop = hop
        self.relay = relay
        self.transcript = transcript  # that of the attempt which uses the connection now
        self.messages = 0  # transactions begun
        self.tls_version = ""
        self.tls_verified: bool | None = None
        self._client = client
        self._timeouts = client.timeouts
        self._wire: Wire | None = None
        self._ehlo: SmtpReply | None = None
        self._extensions: dict[str, str] = {}
        self._auth_methods: list[str] = []

    @property
    def is_usable(self) -> bool:
        return self._wire is not None and self._wire.is_usable

    async def open(self, tls: Tls) -> None:
        """Connect, and get as far as MAIL. Raises `TlsFailed` where the connection is gone because of TLS."""
        try:
            await self._connect()
            if self.relay and self.relay.security is Security.TLS:
                await self._handshake(tls)
            await self._greet()
            await self._say_hello()
            if tls is not Tls.NONE and not self.tls_version:
                await self._start_tls(tls)
            if self.relay and self.relay.username:
                await self._sign_in(self.relay)
        except BaseException:
            self.abort()
            raise

    async def send(self, envelope: Envelope, before_content: Callable[[], Awaitable[None]]) -> SmtpReply:
        """One transaction; the reply that accepted the message."""
        self.messages += 1
        octets = with_line_ends(envelope.message)
        try:
            await self._mail(envelope, octets)
            await self._rcpt(envelope)
            await self._data()
            await before_content()
            return await self._content(octets)
        except Stopped:
            raise
        except BaseException:  # cancelled, or the caller's database failed: the server must not wait
            self.abort()
            raise

    async def reset(self) -> bool:
        """Whether the connection stands ready for another message: RSET, RFC 5321 section 4.1.1.5."""
        try:
            reply = await self._say(Stage.MAIL, "RSET", seconds=self._timeouts.reset)
        except Stopped:
            return False
        except BaseException:
            self.abort()
            raise
        return reply.code == 250

    async def quit(self) -> None:
        """Say goodbye, RFC 5321 section 3.8, and close the connection whatever is answered."""
        if self._wire is None:
            return
        try:
            if self._wire.is_usable:
                await self._say(Stage.CONTENT, "QUIT", seconds=self._timeouts.quit)
            await self._wire.disconnect(seconds=self._timeouts.quit)
        except Stopped:
            pass  # it hung up first; the session is over either way
        finally:
            self.abort()

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()

    # As far as MAIL.

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        seconds = self._timeouts.connect
        try:
            async with asyncio.timeout(seconds):
                _, self._wire = await loop.create_connection(Wire, self.hop.address, self.hop.port)
        except OSError as fault:  # a TimeoutError of ours has no errno
            words = (
                os.strerror(fault.errno).lower() if fault.errno else f"timed out after {seconds:g} seconds"
            )
            raise self._found(Stage.CONNECT, words, NO_ANSWER) from fault
        self.transcript.we_found(f"connected to {self.hop}")

    async def _greet(self) -> None:
        reply = await self._hear(Stage.CONNECT, self._open_wire.greeting(seconds=self._timeouts.greeting))
        if reply.code != 220:
            self._refused(Stage.CONNECT, reply)

    async def _say_hello(self) -> None:
        hello, seconds = self._client.hello, self._timeouts.hello
        reply = await self._say(Stage.EHLO, f"EHLO {hello}", seconds=seconds)
        if reply.code in _NO_EHLO:
            reply = await self._say(Stage.EHLO, f"HELO {hello}", seconds=seconds)
        if reply.code != 250:
            self._refused(Stage.EHLO, reply)
        self._ehlo = reply
        self._extensions, self._auth_methods = parse_esmtp_extensions(reply.text)

    async def _start_tls(self, tls: Tls) -> None:
        """STARTTLS: a must with a relay, welcome with any other host (opportunistic, RFC 7435)."""
        if "starttls" not in self._extensions:
            if self.relay:
                words = "offers no STARTTLS, which the set-up of this relay asks for; nothing was sent"
                raise self._found(Stage.STARTTLS, words, SECURITY_NOT_SUPPORTED)
            self.transcript.we_found("no TLS: the server does not offer STARTTLS")
            return
        reply = await self._say(Stage.STARTTLS, "STARTTLS", seconds=self._timeouts.tls)
        if reply.code == 220:
            await self._handshake(tls)
            await self._say_hello()  # RFC 3207 section 4.2: forget what was said in clear
        elif self.relay or reply.code == SERVICE_CLOSING:
            self._refused(Stage.STARTTLS, reply)
        else:
            self.transcript.we_found("no TLS: the server refused to begin it")

    async def _handshake(self, tls: Tls) -> None:
        verified = tls is Tls.VERIFIED
        context = self._client.verifying if verified else self._client.unverifying
        try:
            await self._open_wire.handshake(context, host=self.hop.host, seconds=self._timeouts.tls)
        except WireFault as fault:
            stopped = self._found(Stage.STARTTLS, fault.text, fault.status)
            raise TlsFailed(stopped.obstacle, untrusted=fault.untrusted) from fault
        self.tls_version, self.tls_verified = self._open_wire.tls_version, verified
        trust = "verified" if verified else "not verified"
        self.transcript.we_found(f"{self.tls_version}, certificate {trust}")

    async def _sign_in(self, relay: Relay) -> None:
        """AUTH PLAIN or LOGIN, RFC 4954. A refusal is about our set-up, so no message fails for it."""
        if "plain" in self._auth_methods:
            token = auth_plain_encode(relay.username, relay.password).decode()
            reply = await self._say_secretly("AUTH PLAIN", token)
        elif "login" in self._auth_methods:
            reply = await self._sign_in_by_login(relay)
        else:
            offered = ", ".join(self._auth_methods).upper() or "nothing"
            words = f"offers no way to sign in that we know (PLAIN or LOGIN); it offers {offered}"
            raise self._found(Stage.AUTH, words, SECURITY_NOT_SUPPORTED)
        if reply.code != 235:
            self._refused(Stage.AUTH, reply)

    async def _sign_in_by_login(self, relay: Relay) -> SmtpReply:
        reply = await self._say(Stage.AUTH, "AUTH LOGIN", seconds=self._timeouts.auth)
        for secret in auth_login_encode(relay.username, relay.password):
            if reply.code != 334:
                break
            reply = await self._say_secretly("", secret.decode())
        return reply

    # One transaction.

    async def _mail(self, envelope: Envelope, octets: bytes) -> None:
        parameters = self._mail_parameters(envelope, octets)
        line = " ".join([f"MAIL FROM:<{with_ascii_domain(envelope.mail_from)}>", *parameters])
        reply = await self._say(Stage.MAIL, line, seconds=self._timeouts.mail)
        if not reply.is_positive or reply.code >= 300:
            self._refused(Stage.MAIL, reply)

    def _mail_parameters(self, envelope: Envelope, octets: bytes) -> list[str]:
        self._check_size(len(octets))
        parameters = [f"SIZE={len(octets)}"] if "size" in self._extensions else []  # RFC 1870
        if not octets.isascii():
            if "8bitmime" in self._extensions:
                parameters.append("BODY=8BITMIME")  # RFC 6152
            else:  # every server of today carries 8 bits; to refuse would lose mail that arrives
                self.transcript.we_found("the message has 8-bit octets; sent though 8BITMIME is not offered")
        if envelope.non_ascii_address:
            self._check_smtputf8(envelope.non_ascii_address)
            parameters.append("SMTPUTF8")  # RFC 6531
        return parameters

    def _check_size(self, size: int) -> None:
        limit = self._extensions.get("size", "")
        if limit.isdecimal() and 0 < int(limit) < size:
            words = (
                f"takes messages of up to {int(limit):,} octets, and this one has {size:,}; nothing was sent."
                f" Its EHLO reply said: {self._ehlo_line('SIZE')}"
            )
            raise self._found(Stage.MAIL, words, MESSAGE_TOO_LARGE, outcome=Outcome.FAILED)

    def _check_smtputf8(self, address: str) -> None:
        if "smtputf8" not in self._extensions:
            words = f"cannot take the address {address}: it offers no SMTPUTF8; nothing was sent"
            raise self._found(Stage.MAIL, words, NON_ASCII_NOT_SUPPORTED, outcome=Outcome.FAILED)

    def _ehlo_line(self, keyword: str) -> str:
        lines = self._ehlo.lines if self._ehlo else ()
        return next((line for line in lines if line[4:].upper().split(" ")[0] == keyword), "")

    async def _rcpt(self, envelope: Envelope) -> None:
        line = f"RCPT TO:<{with_ascii_domain(envelope.rcpt_to)}>"
        reply = await self._say(Stage.RCPT, line, seconds=self._timeouts.rcpt)
        if not reply.is_positive or reply.code >= 300:
            self._refused(Stage.RCPT, reply)

    async def _data(self) -> None:
        reply = await self._say(Stage.DATA, "DATA", seconds=self._timeouts.data)
        if reply.code != 354:
            self._refused(Stage.DATA, reply)

    async def _content(self, octets: bytes) -> SmtpReply:
        self.transcript.we_said(f"(message, {len(octets):,} octets)")
        early = await self._send_content(octets)
        if early:  # the dot was never written: only hanging up ends a message in its middle
            self.transcript.server_said(str(early))
            self.abort()
            self._refused(Stage.CONTENT, early)
        self.transcript.we_said(".")
        reply = await self._hear_content_reply()
        if not reply.is_positive or reply.code >= 300:
            self._refused(Stage.CONTENT, reply)
        return reply

    async def _send_content(self, octets: bytes) -> SmtpReply | None:
        try:
            return await self._open_wire.send_content(with_dots_doubled(octets), seconds=self._timeouts.block)
        except WireFault as fault:
            self.abort()
            words = f"{fault.text}; the message had not been handed over whole, so it was not delivered"
            raise self._found(Stage.CONTENT, words, fault.status) from fault

    async def _hear_content_reply(self) -> SmtpReply:
        try:
            reply = await self._open_wire.content_reply(seconds=self._timeouts.content)
        except WireFault as fault:
            self.abort()
            words = f"{fault.text}; the whole message had been handed over, so it may or may not have arrived"
            raise self._found(Stage.CONTENT, words, fault.status, outcome=Outcome.UNCERTAIN) from fault
        self._heard(reply)
        return reply

    # Saying and hearing.

    @property
    def _open_wire(self) -> Wire:
        if self._wire is None:
            raise RuntimeError("the connection has not been opened")
        return self._wire

    async def _say(self, stage: Stage, line: str, *, seconds: float) -> SmtpReply:
        self.transcript.we_said(line)
        verb = line.partition(":")[0] if ":<" in line else line.split(" ")[0]
        return await self._hear(
            stage, self._open_wire.command(line, awaited=f"the reply to {verb}", seconds=seconds)
        )

    async def _say_secretly(self, verb: str, secret: str) -> SmtpReply:
        self.transcript.we_said(f"{verb} ***".lstrip())
        line = f"{verb} {secret}".lstrip()
        seconds = self._timeouts.auth
        return await self._hear(
            Stage.AUTH, self._open_wire.command(line, awaited="the reply to AUTH", seconds=seconds)
        )

    async def _hear(self, stage: Stage, answer: Awaitable[SmtpReply]) -> SmtpReply:
        try:
            reply = await answer
        except WireFault as fault:
            self.abort()
            raise self._found(stage, fault.text, fault.status) from fault
        self._heard(reply)
        return reply

    def _heard(self, reply: SmtpReply) -> None:
        self.transcript.server_said(str(reply))
        if reply.code == SERVICE_CLOSING:
            self.abort()

    def _found(
        self, stage: Stage, words: str, status: EnhancedStatus, *, outcome: Outcome = Outcome.DELAYED
    ) -> Stopped:
        """What we found out ourselves, put down in the transcript."""
        text = f"{self.hop}: {words}"
        self.transcript.we_found(text)
        may_help = outcome is Outcome.DELAYED and stage is not Stage.CONTENT
        return Stopped(Obstacle(stage, outcome, text, status=status, next_host_may_help=may_help))

    def _refused(self, stage: Stage, reply: SmtpReply) -> NoReturn:
        if reply.is_positive:
            words = f"answered {stage} with '{reply}', which is no answer to it"
            self.abort()
            raise self._found(stage, words, PROTOCOL_BROKEN)
        raise Stopped(
            Obstacle(
                stage,
                self._outcome(stage, reply),
                reply=reply,
                next_host_may_help=stage in _BEFORE_MAIL,
            )
        )

    def _outcome(self, stage: Stage, reply: SmtpReply) -> Outcome:
        # RFC 5321 section 4.5.3.1.10: a 552 to RCPT may mean "too many recipients"; treat it as temporary.
        if not reply.is_permanent or (stage is Stage.RCPT and reply.code == 552):
            return Outcome.DELAYED
        # A relay that refuses the session itself refuses our set-up, not this message.
        return Outcome.DELAYED if self.relay and stage in _BEFORE_MAIL else Outcome.FAILED
