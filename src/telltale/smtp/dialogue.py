"""Saying and hearing: what each line of a session does to the transcript, and what a line of theirs means to us.

Rule: every method that says or hears raises `Stopped` where the way ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Stage
from telltale.mail.status import EnhancedStatus
from telltale.smtp.obstacle import Next, Obstacle, Outcome, Stopped
from telltale.smtp.transcript import Transcript
from telltale.smtp.ways import Way
from telltale.smtp.wire import PROTOCOL_BROKEN, SERVICE_CLOSING, Wire, WireFault


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


class Dialogue:
    """With one host. `transcript` is that of the attempt which uses the connection now."""

    def __init__(self, way: Way, transcript: Transcript, timeouts: Timeouts) -> None:
        self.way = way
        self.transcript = transcript
        self.timeouts = timeouts
        self.opened: Wire | None = None
        self._ahead: deque[tuple[str, datetime]] = deque()  # said already, each with the time

    @property
    def wire(self) -> Wire:
        if self.opened is None:
            raise RuntimeError("the connection has not been opened")
        return self.opened

    def say_ahead(self, lines: Sequence[str]) -> None:
        """Say these together, so that they take one round trip; `say` each of them then, to hear its answer."""
        self.wire.say_together(lines)
        if self.wire.owes_answers:
            now = datetime.now(UTC)
            self._ahead.extend((line, now) for line in lines)

    async def say(self, stage: Stage, line: str, *, seconds: float) -> SmtpReply:
        if not self._ahead:
            self.transcript.we_said(line)
            answer = self.wire.command(line, awaited=_reply_to(line), seconds=seconds)
            return await self.hear(stage, answer)
        said, at = self._ahead.popleft()
        if said != line:
            raise RuntimeError(f"{said!r} was said ahead, and not {line!r}")
        self.transcript.we_said(line, at=at)
        return await self.hear(stage, self.wire.answer(awaited=_reply_to(line), seconds=seconds))

    async def hear_out(self) -> None:
        """Hear what is said to commands that were said ahead in vain: the session can go on behind that."""
        try:
            while self._ahead and self.wire.is_connected:
                said, _ = self._ahead[0]
                await self.say(Stage.RCPT, said, seconds=self.timeouts.quit)
        except Stopped:
            pass  # this connection is of no use any more; what ended the transaction is known
        self._ahead.clear()

    async def say_secretly(self, verb: str, secret: str, *, secrets: Sequence[str]) -> SmtpReply:
        """The same for AUTH. Whatever of the `secrets` a server says back to us is crossed out."""
        self.transcript.we_said(f"{verb} ***".lstrip())
        answer = self.wire.command(
            f"{verb} {secret}".lstrip(), awaited="the reply to AUTH", seconds=self.timeouts.auth
        )
        try:
            reply = _crossed_out(await answer, secrets)
        except WireFault as fault:
            raise self.lost(Stage.AUTH, WireFault(_without(fault.text, secrets), fault.status)) from None
        self.heard(reply)
        return reply

    async def hear(self, stage: Stage, answer: Awaitable[SmtpReply]) -> SmtpReply:
        try:
            reply = await answer
        except WireFault as fault:
            raise self.lost(stage, fault) from fault
        self.heard(reply)
        return reply

    def heard(self, reply: SmtpReply) -> None:
        self.transcript.server_said(str(reply))
        if reply.code == SERVICE_CLOSING:
            self.abort()

    def lost(self, stage: Stage, fault: WireFault) -> Stopped:
        """The connection is of no use any more, and nothing was delivered: another host may be."""
        self.abort()
        return self.found(stage, fault.text, fault.status, next_=Next.HOST)

    def found(
        self,
        stage: Stage,
        words: str,
        status: EnhancedStatus,
        *,
        outcome: Outcome = Outcome.DELAYED,
        next_: Next = Next.HOST,
    ) -> Stopped:
        """What we found out ourselves, put down in the transcript."""
        text = f"{self.way}: {words}"
        self.transcript.we_found(text)
        return Stopped(Obstacle(stage, outcome, text, status=status, next=next_))

    def refused(self, stage: Stage, reply: SmtpReply, outcome: Outcome, next_: Next) -> Stopped:
        """The server said no, in so many words. A yes in the wrong place is no answer, and ends the session."""
        if reply.is_positive:
            self.abort()
            words = f"answered {stage} with '{reply}', which is no answer to it"
            return self.found(stage, words, PROTOCOL_BROKEN)
        return Stopped(Obstacle(stage, outcome, reply=reply, next=next_))

    def abort(self) -> None:
        if self.opened is not None:
            self.opened.abort()


def _reply_to(line: str) -> str:
    verb = line.partition(":")[0] if ":<" in line else line.split(" ")[0]
    return f"the reply to {verb}"


def is_done(reply: SmtpReply) -> bool:
    """The requested action has been taken: RFC 5321 section 4.2.1."""
    return 200 <= reply.code < 300


def by_code(reply: SmtpReply) -> Outcome:
    """What a refusal means, by its first digit: RFC 5321 section 4.2.1."""
    return Outcome.FAILED if reply.is_permanent else Outcome.DELAYED


def _crossed_out(reply: SmtpReply, secrets: Sequence[str]) -> SmtpReply:
    return SmtpReply(reply.code, tuple(_without(line, secrets) for line in reply.lines))


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return text
