"""Delivering one message to one recipient: SMTP, RFC 5321, the client side.

Rule 1: what a server says is kept verbatim; what we found out ourselves is "x-local" and never looks like it.
Rule 2: the world's failures are an `AttemptResult`. Only our own mistakes are raised.
Rule 3: lost after the final dot was written, a message is "uncertain"; lost before it, it was not delivered.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from telltale.mail.reply import SmtpReply
from telltale.mail.report import RecipientReport, Stage
from telltale.smtp.connection import Client, Connection
from telltale.smtp.dialogue import RFC_5321, Timeouts
from telltale.smtp.envelope import Envelope
from telltale.smtp.idle import IdleConnections, Reuse
from telltale.smtp.obstacle import Next, Obstacle, Outcome, Stopped, TlsFailed
from telltale.smtp.queue_id import queue_id
from telltale.smtp.tls import Handshake, Ladder, Need, Step, Trust
from telltale.smtp.transcript import Transcript, TranscriptLine
from telltale.smtp.ways import Route, Way
from telltale.smtp.wire import CRYPTOGRAPHIC_FAILURE, SERVICE_CLOSING

__all__ = ["AttemptResult", "Envelope", "Outcome", "Reuse", "Sessions", "Timeouts", "TranscriptLine"]

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
    tls_cipher: str = ""
    tls_verification: str = ""  # who vouches for which name, or why nobody does
    bytes_sent: int = 0  # of the content, dots doubled; less than all of it where the connection was lost
    size_limit: int | None = None  # the largest message that the host takes, where it says so: RFC 1870


class Sessions:
    """Delivers messages, and keeps connections open for the next one.

    Use it within one event loop. Any number of `deliver` calls may run at once; each has its own connection.
    """

    def __init__(
        self,
        *,
        hello: str,
        timeouts: Timeouts = RFC_5321,
        reuse: Reuse | None = None,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        """`hello` is our name in EHLO. `tls_context` verifies certificates; by default the system's."""
        if not hello.isascii() or not hello.isprintable() or not hello or " " in hello:
            raise ValueError(f"{hello!r} cannot stand behind EHLO")
        self._client = Client(hello, timeouts, Trust(tls_context))
        self._idle = IdleConnections(reuse or Reuse())
        self._ladder = Ladder()

    async def deliver(
        self, envelope: Envelope, route: Route, *, before_content: BeforeContent
    ) -> AttemptResult:
        """One attempt.

        `before_content` is awaited once at most, after the server's 354 and before the first octet of the
        content: from there on the message may arrive. What it raises ends the attempt and is passed on.
        """
        if not route.ways:
            raise ValueError("no way to deliver by")
        attempt = _Attempt(envelope, before_content)
        for words in route.found:
            attempt.transcript.we_found(words)
        stops: list[_Stop] = []
        ways = list(route.ways)
        while ways:
            way = ways.pop(0)
            try:
                return attempt.accepted(await self._deliver_by(way, attempt))
            except Stopped as stopped:
                stops.append(_Stop(way, attempt.connection_by(way), stopped.obstacle))
                ways = _left(ways, way, stopped.obstacle.next)
        return attempt.stopped(_most_telling(stops))

    async def close(self) -> None:
        """Say QUIT on every idle connection. Those in use end with their message."""
        await self._idle.close()

    async def _deliver_by(self, way: Way, attempt: _Attempt) -> SmtpReply:
        if way.policy.need is Need.IMPOSSIBLE:
            raise _closed(way, attempt.transcript)
        reply = await self._deliver_on_idle(way, attempt)
        if reply:
            return reply
        connection = await self._open(way, attempt)
        return await self._send(connection, attempt)

    async def _deliver_on_idle(self, way: Way, attempt: _Attempt) -> SmtpReply | None:
        """Use a connection that is open already; None where there is none, or it turns out to be dead."""
        connection = self._idle.take(way)
        if connection is None:
            return None
        connection.belongs_to(attempt.transcript)
        attempt.transcript.we_found(f"using the open connection to {way} again")
        attempt.connection = connection
        try:
            return await self._send(connection, attempt)
        except Stopped as stopped:
            if not _is_worn_out(stopped.obstacle):
                raise
        connection.abort()
        attempt.transcript.we_found("the open connection was no longer good: connecting anew")
        return None

    async def _send(self, connection: Connection, attempt: _Attempt) -> SmtpReply:
        try:
            return await connection.send(attempt.envelope, attempt.before_content)
        finally:
            self._idle.put(connection)

    async def _open(self, way: Way, attempt: _Attempt) -> Connection:
        """A new connection with the best TLS that the host and we can agree on."""
        step = self._ladder.first(way.hop, way.policy)
        while True:
            connection = attempt.connection = Connection(self._client, way, attempt.transcript)
            try:
                await connection.open(step)
            except TlsFailed as failed:
                step = self._next_step(way, step, failed)
                attempt.transcript.we_found(f"connecting anew, {_HOW[step.handshake]}")
            else:
                return connection

    def _next_step(self, way: Way, step: Step, failed: TlsFailed) -> Step:
        step_after = self._ladder.next(
            way.hop, way.policy, step, untrusted=failed.untrusted, anchor=failed.anchor
        )
        if step_after is None:
            raise failed
        return step_after


_HOW = {
    Handshake.ANY: "with TLS and any certificate",
    Handshake.ANCHORED: "with TLS and the trust anchor that the TLSA record names",
    Handshake.NONE: "without TLS",
}


@dataclass(frozen=True, slots=True)
class _Stop:
    """Where one way stopped."""

    way: Way
    connection: Connection | None
    obstacle: Obstacle


@dataclass(slots=True)
class _Attempt:
    """One `deliver` call under way."""

    envelope: Envelope
    before_content: BeforeContent
    transcript: Transcript = field(default_factory=Transcript)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    connection: Connection | None = None  # the one in use, or the last

    def connection_by(self, way: Way) -> Connection | None:
        return self.connection if self.connection and self.connection.way is way else None

    def accepted(self, reply: SmtpReply) -> AttemptResult:
        if self.connection is None:
            raise RuntimeError("a reply without a connection")
        result = self._result(self.connection.way, self.connection, Outcome.ACCEPTED, Stage.CONTENT)
        return replace(result, reply=reply, queue_id=queue_id(reply))

    def stopped(self, stop: _Stop) -> AttemptResult:
        obstacle, host = stop.obstacle, stop.way.hop.host
        report = obstacle.to_report(recipient=self.envelope.rcpt_to, remote_mta=host)
        report = replace(report, by_own_relay=stop.way.relay is not None)
        result = self._result(stop.way, stop.connection, obstacle.outcome, obstacle.stage)
        return replace(result, reply=obstacle.reply, report=report)

    def _result(
        self, way: Way, connection: Connection | None, outcome: Outcome, stage: Stage
    ) -> AttemptResult:
        tls = connection.tls if connection else None
        return AttemptResult(
            outcome=outcome,
            stage=stage,
            report=None,
            reply=None,
            remote_host=way.hop.host,
            remote_ip=way.hop.address,
            tls_version=tls.version if tls else "",
            tls_verified=tls.verified if tls else None,
            tls_cipher=tls.cipher if tls else "",
            tls_verification=tls.verification if tls else "",
            bytes_sent=connection.content_octets if connection else 0,
            size_limit=connection.extensions.size_limit if connection else None,
            queue_id="",
            transcript=tuple(self.transcript.lines),
            started_at=self.started_at,
            ended_at=datetime.now(UTC),
        )


def _is_worn_out(obstacle: Obstacle) -> bool:
    """An open session broke before the host had a word to say of this message: a new one may serve."""
    has_word = obstacle.reply is not None and obstacle.reply.code != SERVICE_CLOSING
    return obstacle.stage is Stage.MAIL and not obstacle.is_final and not has_word


def _closed(way: Way, transcript: Transcript) -> Stopped:
    """Nothing may be sent there, so nobody is asked."""
    text = f"{way}: nothing may be sent to it: {way.policy.because}"
    transcript.we_found(text)
    obstacle = Obstacle(Stage.STARTTLS, Outcome.DELAYED, text, status=CRYPTOGRAPHIC_FAILURE, next=Next.HOST)
    return Stopped(obstacle)


def _left(ways: list[Way], stopped: Way, next_: Next) -> list[Way]:
    """The ways that are left to try behind one that stopped."""
    match next_:
        case Next.NOBODY:
            return []
        case Next.RELAY:
            return [way for way in ways if way.relay != stopped.relay]
    return ways


def _most_telling(stops: Sequence[_Stop]) -> _Stop:
    """The stop that the report is about: what a server said tells more than a connection that failed.

    A refusal for good is the last word only where every host gave it: another may be up again tomorrow.
    """
    last = stops[-1]
    if last.obstacle.next is Next.NOBODY:
        return last
    chosen = max(reversed(stops), key=_weight)
    if all(stop.obstacle.is_final for stop in stops):
        return chosen
    return replace(chosen, obstacle=replace(chosen.obstacle, outcome=Outcome.DELAYED))


def _weight(stop: _Stop) -> int:
    """A server's words, then what we know for certain of a host, then that we did not get through."""
    if stop.obstacle.reply:
        return 2
    return 1 if stop.obstacle.is_final else 0
