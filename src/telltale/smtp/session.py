"""Delivering one message to one recipient: SMTP, RFC 5321, the client side.

Rule 1: what a server says is kept verbatim; what we found out ourselves is "x-local" and never looks like it.
Rule 2: the world's failures are an `AttemptResult`. Only our own mistakes are raised.
Rule 3: lost after the final dot was written, a message is "uncertain"; lost before it, it was not delivered.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from telltale.mail.reply import SmtpReply
from telltale.mail.report import RecipientReport, Stage
from telltale.smtp.connection import RFC_5321, Client, Connection, Timeouts, Tls
from telltale.smtp.envelope import Envelope
from telltale.smtp.idle import IdleConnections
from telltale.smtp.obstacle import Obstacle, Outcome, Stopped, TlsFailed
from telltale.smtp.queue_id import queue_id
from telltale.smtp.route import Hop, Relay, Security
from telltale.smtp.transcript import Transcript, TranscriptLine

__all__ = ["AttemptResult", "Envelope", "Outcome", "Sessions", "Timeouts", "TranscriptLine"]

UNTRUSTED_FOR = 3600.0  # seconds for which we remember that a host's certificate cannot be verified
MOST_UNTRUSTED = 10_000

BeforeContent = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What one attempt came to, with the evidence."""

    outcome: Outcome
    stage: Stage  # where the deciding answer came
    report: RecipientReport | None  # None only where the message was accepted
    reply: SmtpReply | None  # the deciding reply, where a server spoke
    remote_host: str
    remote_ip: str
    tls_version: str  # "TLS 1.3"; "" for none
    tls_verified: bool | None  # None without TLS
    queue_id: str  # the server's name for the mail, out of its 250; "" where it tells none
    transcript: tuple[TranscriptLine, ...]
    started_at: datetime
    ended_at: datetime


class Sessions:
    """Delivers messages, and keeps connections open for the next one.

    Use it within one event loop. Any number of `deliver` calls may run at once; each has its own connection.
    """

    def __init__(
        self,
        *,
        hello: str,
        timeouts: Timeouts = RFC_5321,
        idle_seconds: float = 10,
        messages_per_connection: int = 100,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        """`hello` is our name in EHLO. `tls_context` verifies certificates; by default the system's."""
        if not hello.isascii() or not hello.isprintable() or not hello or " " in hello:
            raise ValueError(f"{hello!r} cannot stand behind EHLO")
        self._client = Client(hello, timeouts, tls_context or ssl.create_default_context(), _unverifying())
        self._idle = IdleConnections(idle_seconds, messages_per_connection)
        self._untrusted: dict[Hop, tuple[float, str]] = {}  # until when, and why

    async def deliver(
        self,
        envelope: Envelope,
        hops: Sequence[Hop],
        *,
        before_content: BeforeContent,
        relay: Relay | None = None,
    ) -> AttemptResult:
        """One attempt. `relay` is the smart host to which the hops lead; None: they are the domain's own.

        `before_content` is awaited once at most, after the server's 354 and before the first octet of the
        content: from there on the message may arrive. What it raises ends the attempt and is passed on.
        """
        if not hops:
            raise ValueError("no hop to deliver to")
        attempt = _Attempt(envelope, before_content, relay)
        stops: list[_Stop] = []
        for hop in hops:
            try:
                return attempt.accepted(await self._deliver_to(hop, attempt))
            except Stopped as stopped:
                stops.append(_Stop(hop, attempt.connection, stopped.obstacle))
                if not stopped.obstacle.next_host_may_help:
                    break
        return attempt.stopped(_most_telling(stops))

    async def close(self) -> None:
        """Say QUIT on every idle connection. Those in use end with their message."""
        await self._idle.close()

    async def _deliver_to(self, hop: Hop, attempt: _Attempt) -> SmtpReply:
        reply = await self._deliver_on_idle(hop, attempt)
        if reply:
            return reply
        connection = await self._open(hop, attempt)
        return await self._send(connection, attempt)

    async def _deliver_on_idle(self, hop: Hop, attempt: _Attempt) -> SmtpReply | None:
        """Use a connection that is open already; None where there is none, or it turns out to be dead."""
        connection = self._idle.take(hop, attempt.relay)
        if connection is None:
            return None
        connection.transcript = attempt.transcript
        attempt.transcript.we_found(f"using the open connection to {hop} again")
        attempt.connection = connection
        try:
            if await connection.reset():
                return await self._send(connection, attempt)
        except Stopped as stopped:
            if connection.is_usable or stopped.obstacle.stage is not Stage.MAIL or stopped.obstacle.is_final:
                raise
        connection.abort()
        attempt.transcript.we_found("the open connection was no longer good: connecting anew")
        return None

    async def _send(self, connection: Connection, attempt: _Attempt) -> SmtpReply:
        try:
            return await connection.send(attempt.envelope, attempt.before_content)
        finally:
            self._idle.put(connection)

    async def _open(self, hop: Hop, attempt: _Attempt) -> Connection:
        """A new connection with the best TLS that the host and we can agree on."""
        tls = self._first_tls(hop, attempt)
        while True:
            connection = attempt.connection = Connection(self._client, hop, attempt.relay, attempt.transcript)
            try:
                await connection.open(tls)
            except TlsFailed as failed:
                if attempt.relay or tls is Tls.NONE:
                    raise
                tls = self._weaker_tls(hop, failed)
                attempt.transcript.we_found(f"connecting anew, {_HOW[tls]}")
            else:
                return connection

    def _first_tls(self, hop: Hop, attempt: _Attempt) -> Tls:
        if attempt.relay:
            return Tls.NONE if attempt.relay.security is Security.NONE else Tls.VERIFIED
        until, why = self._untrusted.get(hop, (0.0, ""))
        if until < time.monotonic():
            return Tls.VERIFIED
        attempt.transcript.we_found(f"the certificate of {hop} was not trusted a short while ago: {why}")
        return Tls.UNVERIFIED

    def _weaker_tls(self, hop: Hop, failed: TlsFailed) -> Tls:
        """RFC 7435: an unknown certificate is better than none, and mail in clear is better than no mail."""
        if not failed.untrusted:
            return Tls.NONE
        if len(self._untrusted) >= MOST_UNTRUSTED:
            self._untrusted.clear()
        self._untrusted[hop] = (time.monotonic() + UNTRUSTED_FOR, failed.untrusted)
        return Tls.UNVERIFIED


_HOW = {Tls.UNVERIFIED: "with TLS and any certificate", Tls.NONE: "without TLS"}


@dataclass(frozen=True, slots=True)
class _Stop:
    """Where one hop stopped."""

    hop: Hop
    connection: Connection | None
    obstacle: Obstacle


@dataclass(slots=True)
class _Attempt:
    """One `deliver` call under way."""

    envelope: Envelope
    before_content: BeforeContent
    relay: Relay | None
    transcript: Transcript = field(default_factory=Transcript)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    connection: Connection | None = None  # the one in use, or the last

    def accepted(self, reply: SmtpReply) -> AttemptResult:
        if self.connection is None:
            raise RuntimeError("a reply without a connection")
        return self._result(
            self.connection.hop, self.connection, Outcome.ACCEPTED, Stage.CONTENT, reply, None
        )

    def stopped(self, stop: _Stop) -> AttemptResult:
        obstacle = stop.obstacle
        report = obstacle.to_report(recipient=self.envelope.rcpt_to, remote_mta=stop.hop.host)
        return self._result(
            stop.hop, stop.connection, obstacle.outcome, obstacle.stage, obstacle.reply, report
        )

    def _result(
        self,
        hop: Hop,
        connection: Connection | None,
        outcome: Outcome,
        stage: Stage,
        reply: SmtpReply | None,
        report: RecipientReport | None,
    ) -> AttemptResult:
        return AttemptResult(
            outcome=outcome,
            stage=stage,
            report=report,
            reply=reply,
            remote_host=hop.host,
            remote_ip=hop.address,
            tls_version=connection.tls_version if connection else "",
            tls_verified=connection.tls_verified if connection else None,
            queue_id=queue_id(reply) if reply and outcome is Outcome.ACCEPTED else "",
            transcript=tuple(self.transcript.lines),
            started_at=self.started_at,
            ended_at=datetime.now(UTC),
        )


def _most_telling(stops: Sequence[_Stop]) -> _Stop:
    """The stop that the report is about: what a server said tells more than a connection that failed.

    A refusal for good is the last word only where every host gave it: another may be up again tomorrow.
    """
    last = stops[-1]
    if not last.obstacle.next_host_may_help:
        return last
    chosen = next((stop for stop in reversed(stops) if stop.obstacle.reply), last)
    if all(stop.obstacle.is_final for stop in stops):
        return chosen
    return replace(chosen, obstacle=replace(chosen.obstacle, outcome=Outcome.DELAYED))


def _unverifying() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
