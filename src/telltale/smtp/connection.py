"""One SMTP session with one host, from connecting to QUIT: RFC 5321 sections 3.1 to 3.8, STARTTLS, AUTH.

Rule: a host that does not take the session says nothing about the message; another may take it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Stage
from telltale.mail.status import EnhancedStatus
from telltale.smtp.auth import (
    Credentials,
    Mechanism,
    NoToken,
    OAuth2,
    challenge_in_words,
    password_mechanism,
    token_mechanism,
)
from telltale.smtp.dane import anchor_named, own_certificate_named
from telltale.smtp.dialogue import Dialogue, Timeouts, by_code
from telltale.smtp.envelope import Envelope
from telltale.smtp.extensions import Extensions
from telltale.smtp.obstacle import Next, Outcome, Stopped, TlsFailed
from telltale.smtp.route import Security
from telltale.smtp.tls import Handshake, Need, Step, TlsFacts, Trust
from telltale.smtp.transaction import Transaction
from telltale.smtp.transcript import Transcript
from telltale.smtp.ways import Way
from telltale.smtp.wire import CRYPTOGRAPHIC_FAILURE, SERVICE_CLOSING, Wire, WireFault

NO_ANSWER = EnhancedStatus(4, 4, 1)
SECURITY_NOT_SUPPORTED = EnhancedStatus(4, 7, 4)
NOT_SIGNED_IN = EnhancedStatus(4, 7, 8)  # RFC 4954 section 6, with the class of what may be mended

_NO_EHLO = {500, 502}  # RFC 5321 section 3.2: such a server may know HELO


@dataclass(frozen=True, slots=True)
class Client:
    """What is the same for all our sessions. `hello` is our name in EHLO."""

    hello: str
    timeouts: Timeouts
    trust: Trust


class Connection:
    """One message after another, never two at once. Every method but `quit` may raise `Stopped`."""

    def __init__(self, client: Client, way: Way, transcript: Transcript) -> None:
        self.way = way
        self.messages = 0  # transactions begun
        self.opened_at = time.monotonic()
        self.tls: TlsFacts | None = None
        self.extensions = Extensions()
        self._client = client
        self._timeouts = client.timeouts
        self._dialogue = Dialogue(way, transcript, client.timeouts)

    @property
    def is_usable(self) -> bool:
        return self._dialogue.opened is not None and self._dialogue.opened.is_usable

    @property
    def content_octets(self) -> int:
        """Of the message sent last, as far as it went: dots doubled, without the final dot."""
        return self._dialogue.opened.content_octets if self._dialogue.opened else 0

    def belongs_to(self, transcript: Transcript) -> None:
        """From here on, what is said goes into this transcript."""
        self._dialogue.transcript = transcript

    async def open(self, step: Step) -> None:
        """Connect, and get as far as MAIL. Raises `TlsFailed` where the connection is gone because of TLS."""
        try:
            await self._connect()
            if self.way.relay and self.way.relay.security is Security.TLS:
                await self._handshake(step)
            await self._greet()
            await self._say_hello()
            if step.handshake is not Handshake.NONE and not self.tls:
                await self._start_tls(step)
            if self.way.relay and self.way.relay.credentials:
                await self._sign_in(self.way.relay.credentials)
        except BaseException:
            self.abort()
            raise

    async def send(self, envelope: Envelope, before_content: Callable[[], Awaitable[None]]) -> SmtpReply:
        """One transaction; the reply that accepted the message."""
        is_used = self.messages > 0
        self.messages += 1
        self._dialogue.wire.content_octets = 0
        transaction = Transaction(self._dialogue, self.extensions, envelope)
        try:
            return await transaction.run(before_content, reset_first=is_used)
        except Stopped:
            raise
        except BaseException:  # cancelled, or the caller's database failed: the server must not wait
            self.abort()
            raise

    async def quit(self) -> None:
        """Say goodbye, RFC 5321 section 3.8, and close the connection whatever is answered."""
        wire = self._dialogue.opened
        if wire is None:
            return
        try:
            if wire.is_usable:
                await self._dialogue.say(Stage.CONTENT, "QUIT", seconds=self._timeouts.quit)
            await wire.disconnect(seconds=self._timeouts.quit)
        except Stopped:
            pass  # it hung up first; the session is over either way
        finally:
            self.abort()

    def abort(self) -> None:
        self._dialogue.abort()

    # As far as MAIL.

    async def _connect(self) -> None:
        hop, seconds = self.way.hop, self._timeouts.connect
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, self._dialogue.opened = await loop.create_connection(Wire, hop.address, hop.port)
        except OSError as fault:  # a TimeoutError of ours has no errno
            words = (
                os.strerror(fault.errno).lower() if fault.errno else f"timed out after {seconds:g} seconds"
            )
            raise self._dialogue.found(Stage.CONNECT, words, NO_ANSWER) from fault
        self._dialogue.transcript.we_found(f"connected to {hop}")

    async def _greet(self) -> None:
        greeting = self._dialogue.wire.greeting(seconds=self._timeouts.greeting)
        reply = await self._dialogue.hear(Stage.CONNECT, greeting)
        if reply.code != 220:
            raise self._no_session(Stage.CONNECT, reply)

    async def _say_hello(self) -> None:
        hello, seconds = self._client.hello, self._timeouts.hello
        reply = await self._dialogue.say(Stage.EHLO, f"EHLO {hello}", seconds=seconds)
        if reply.code in _NO_EHLO:
            reply = await self._dialogue.say(Stage.EHLO, f"HELO {hello}", seconds=seconds)
        if reply.code != 250:
            raise self._no_session(Stage.EHLO, reply)
        self.extensions = Extensions.of(reply)

    async def _start_tls(self, step: Step) -> None:
        """STARTTLS, RFC 3207: a must or welcome, as the policy has it."""
        policy = self.way.policy
        if "starttls" not in self.extensions:
            if policy.is_mandatory:
                words = f"offers no STARTTLS, and {policy.because}; nothing was sent"
                raise self._dialogue.found(Stage.STARTTLS, words, SECURITY_NOT_SUPPORTED)
            self._dialogue.transcript.we_found("no TLS: the server does not offer STARTTLS")
            return
        reply = await self._dialogue.say(Stage.STARTTLS, "STARTTLS", seconds=self._timeouts.tls)
        if reply.code == 220:
            await self._handshake(step)
            await self._say_hello()  # RFC 3207 section 4.2: forget what was said in clear
        elif policy.is_mandatory or reply.code == SERVICE_CLOSING:
            raise self._dialogue.refused(Stage.STARTTLS, reply, Outcome.DELAYED, Next.HOST)
        else:
            self._dialogue.transcript.we_found("no TLS: the server refused to begin it")

    async def _handshake(self, step: Step) -> None:
        wire, context = self._dialogue.wire, self._client.trust.context(step)
        try:
            await wire.handshake(context, host=self.way.hop.host, seconds=self._timeouts.tls)
        except WireFault as fault:
            raise self._tls_failed(fault.text, fault.status, untrusted=fault.untrusted) from fault
        self.tls = self._tls_facts(step)
        self._dialogue.transcript.we_found(str(self.tls))

    def _tls_facts(self, step: Step) -> TlsFacts:
        session = self._dialogue.wire.tls
        if session is None:
            raise RuntimeError("TLS without a session")
        host = self.way.hop.host
        if step.handshake is Handshake.VERIFYING:
            return TlsFacts.of(session, verified=True, verification=f"for {host} by an authority")
        if step.handshake is Handshake.ANCHORED:
            return TlsFacts.of(session, verified=True, verification=f"for {host} by DANE (trust anchor)")
        if self.way.policy.need is Need.DANE:
            return TlsFacts.of(session, verified=True, verification=f"for {host} by DANE ({self._tlsa()})")
        return TlsFacts.of(session, verified=False, verification=step.why)

    def _tlsa(self) -> str:
        """The record that names the server's certificate; without one, the end of this connection."""
        records, chain = self.way.policy.tlsa, self._dialogue.wire.certificate_chain
        named = own_certificate_named(records, chain[0]) if chain else None
        if named:
            return str(named)
        anchor = anchor_named(records, chain)
        raise self._tls_failed("its certificate does not fit", CRYPTOGRAPHIC_FAILURE, anchor=anchor)

    def _tls_failed(
        self, words: str, status: EnhancedStatus, *, untrusted: str = "", anchor: bytes = b""
    ) -> TlsFailed:
        if self.way.policy.is_mandatory:
            words = f"{words}; {self.way.policy.because}, so nothing was sent"
        self.abort()
        stopped = self._dialogue.found(Stage.STARTTLS, words, status)
        return TlsFailed(stopped.obstacle, untrusted=untrusted, anchor=anchor)

    # Signing in. A refusal is about our set-up, so no message fails for it, and no other address is tried.

    async def _sign_in(self, credentials: Credentials) -> None:
        if isinstance(credentials, OAuth2):
            reply = await self._sign_in_by_token(credentials)
        else:
            mechanism = password_mechanism(credentials, self.extensions.auth_mechanisms)
            secrets = (credentials.password,)
            reply = await self._authenticate(mechanism, "PLAIN or LOGIN", secrets)
        if reply.code != 235:
            raise self._dialogue.refused(Stage.AUTH, reply, Outcome.DELAYED, _after_refused_login(reply))

    async def _sign_in_by_token(self, credentials: OAuth2) -> SmtpReply:
        """A token may have expired while we kept it: after a refusal one more is asked for, and tried once."""
        token = await self._token(credentials, refused="")
        reply = await self._authenticate_by_token(credentials, token)
        if not reply.is_permanent:
            return reply
        self._dialogue.transcript.we_found("the access token was refused: asking for a new one")
        renewed = await self._token(credentials, refused=token)
        if renewed == token or not self.is_usable:
            return reply
        return await self._authenticate_by_token(credentials, renewed)

    async def _token(self, credentials: OAuth2, *, refused: str) -> str:
        try:
            return await credentials.token(refused)
        except NoToken as fault:
            words = f"no access token for {credentials.username} could be had: {fault}"
            raise self._dialogue.found(Stage.AUTH, words, NOT_SIGNED_IN, next_=Next.RELAY) from fault

    async def _authenticate_by_token(self, credentials: OAuth2, token: str) -> SmtpReply:
        mechanism = token_mechanism(credentials.username, token, self.extensions.auth_mechanisms)
        return await self._authenticate(mechanism, "XOAUTH2", (token,))

    async def _authenticate(
        self, mechanism: Mechanism | None, wanted: str, secrets: tuple[str, ...]
    ) -> SmtpReply:
        if mechanism is None:
            offered = ", ".join(self.extensions.auth_mechanisms) or "nothing"
            words = f"offers no way to sign in that we can go ({wanted}); it offers {offered}"
            raise self._dialogue.found(Stage.AUTH, words, SECURITY_NOT_SUPPORTED, next_=Next.RELAY)
        secrets = (mechanism.initial, *mechanism.answers, *secrets)
        verb = f"AUTH {mechanism.name}"
        if mechanism.initial:
            reply = await self._dialogue.say_secretly(verb, mechanism.initial, secrets=secrets)
        else:
            reply = await self._dialogue.say(Stage.AUTH, verb, seconds=self._timeouts.auth)
        for answer in mechanism.answers:
            if reply.code != 334:
                break
            self._note_challenge(mechanism, reply)
            reply = await self._dialogue.say_secretly("", answer, secrets=secrets)
        return reply

    def _note_challenge(self, mechanism: Mechanism, reply: SmtpReply) -> None:
        words = challenge_in_words(reply.text) if mechanism.name == "XOAUTH2" else ""
        if words:
            self._dialogue.transcript.we_found(f"that is: {words}")

    def _no_session(self, stage: Stage, reply: SmtpReply) -> Stopped:
        # A relay that refuses the session refuses our set-up, not this message.
        outcome = Outcome.DELAYED if self.way.relay else by_code(reply)
        return self._dialogue.refused(stage, reply, outcome, Next.HOST)


def _after_refused_login(reply: SmtpReply) -> Next:
    """To try a refused login at each address of the relay may lock the account; "try later" may be that host's."""
    return Next.RELAY if reply.is_permanent else Next.HOST
