"""One mail transaction: MAIL, RCPT, DATA, the content. RFC 5321 section 3.3.

Rule 1: before the content nothing is delivered.
Rule 2: once the final dot is written, only the host's own answer says what became of the message.
Rule 3: what a host says of the message or its recipient is the answer; only where it closes the session, or
cannot take the message at all, is another host asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Stage
from telltale.mail.status import EnhancedStatus
from telltale.smtp.dialogue import Dialogue, by_code, is_done
from telltale.smtp.envelope import Envelope
from telltale.smtp.extensions import Extensions
from telltale.smtp.obstacle import Next, Outcome, Stopped
from telltale.smtp.parameters import mail_line, rcpt_line, unfit
from telltale.smtp.wire import PROTOCOL_BROKEN, SERVICE_CLOSING, WireFault, with_dots_doubled, with_line_ends

# RFC 5321 section 4.5.3.1.10: a 552 to RCPT may mean "too many recipients", and is to be treated as a 452. Where
# the server adds what it means, there is nothing to guess: the mailbox is full, or the message is too long.
_WORD_OF_ITS_OWN = {EnhancedStatus(5, 2, 2), EnhancedStatus(5, 2, 3), EnhancedStatus(5, 3, 4)}


class Transaction:
    """One envelope on an open session. `run` raises `Stopped` where it gets no further."""

    def __init__(self, dialogue: Dialogue, extensions: Extensions, envelope: Envelope) -> None:
        self._dialogue = dialogue
        self._extensions = extensions
        self._envelope = envelope
        self._content = with_line_ends(envelope.message)

    @cached_property
    def _mail_line(self) -> str:
        return mail_line(self._envelope, self._content, self._extensions)

    @cached_property
    def _rcpt_line(self) -> str:
        return rcpt_line(self._envelope, self._extensions)

    async def run(
        self, before_content: Callable[[], Awaitable[None]], *, reset_first: bool = False
    ) -> SmtpReply:
        """The reply that accepted the message. `reset_first` on a session that has carried another one."""
        self._check()
        self._say_ahead(reset_first)
        try:
            if reset_first:
                await self._reset()
            await self._mail()
            await self._rcpt()
        except Stopped:
            await self._dialogue.hear_out()
            raise
        await self._data()
        await before_content()
        return await self._send_content()

    def _check(self) -> None:
        found = unfit(self._envelope, self._content, self._extensions)
        if found:
            raise self._dialogue.found(Stage.MAIL, found.text, found.status, outcome=Outcome.FAILED)

    def _say_ahead(self, reset_first: bool) -> None:
        """Where the server offers it, all up to RCPT in one round trip: RFC 2920.

        DATA might stand behind it, but then a refused recipient is followed by a second refusal, of DATA, which
        people would read as one more fault, and servers count as one.
        """
        if "pipelining" in self._extensions:
            reset = ["RSET"] if reset_first else []
            self._dialogue.say_ahead([*reset, self._mail_line, self._rcpt_line])

    async def _reset(self) -> None:
        """RSET, RFC 5321 section 4.1.1.5. A server that refuses it is tired of the session, not of the message."""
        reply = await self._dialogue.say(Stage.MAIL, "RSET", seconds=self._dialogue.timeouts.reset)
        if reply.code != 250:
            raise self._dialogue.lost(Stage.MAIL, WireFault(f"answered RSET with '{reply}'"))

    async def _mail(self) -> None:
        reply = await self._dialogue.say(Stage.MAIL, self._mail_line, seconds=self._dialogue.timeouts.mail)
        if not is_done(reply):
            raise self._dialogue.refused(Stage.MAIL, reply, by_code(reply), _next(reply))

    async def _rcpt(self) -> None:
        reply = await self._dialogue.say(Stage.RCPT, self._rcpt_line, seconds=self._dialogue.timeouts.rcpt)
        if not is_done(reply):
            raise self._dialogue.refused(Stage.RCPT, reply, _recipient_outcome(reply), _next(reply))

    async def _data(self) -> None:
        reply = await self._dialogue.say(Stage.DATA, "DATA", seconds=self._dialogue.timeouts.data)
        if reply.code != 354:
            raise self._dialogue.refused(Stage.DATA, reply, by_code(reply), _next(reply))

    async def _send_content(self) -> SmtpReply:
        self._dialogue.transcript.we_said(f"(message, {len(self._content):,} octets)")
        early = await self._hand_over()
        if early:  # the dot was never written: only hanging up ends a message in its middle
            self._dialogue.heard(early)
            self._dialogue.abort()
            raise self._dialogue.refused(Stage.CONTENT, early, by_code(early), Next.NOBODY)
        self._dialogue.transcript.we_said(".")
        return await self._hear_the_end()

    async def _hand_over(self) -> SmtpReply | None:
        octets, seconds = with_dots_doubled(self._content), self._dialogue.timeouts.block
        try:
            return await self._dialogue.wire.send_content(octets, seconds=seconds)
        except WireFault as fault:
            self._dialogue.abort()
            words = f"{fault.text}; the message had not been handed over whole, so it was not delivered"
            raise self._dialogue.found(Stage.CONTENT, words, fault.status, next_=Next.NOBODY) from fault

    async def _hear_the_end(self) -> SmtpReply:
        try:
            reply = await self._dialogue.wire.content_reply(seconds=self._dialogue.timeouts.content)
        except WireFault as fault:
            raise self._uncertain(fault) from fault
        self._dialogue.heard(reply)
        if is_done(reply):
            return reply
        if reply.is_positive:
            raise self._uncertain(WireFault(f"answered the message with '{reply}'", PROTOCOL_BROKEN))
        raise self._dialogue.refused(Stage.CONTENT, reply, by_code(reply), Next.NOBODY)

    def _uncertain(self, fault: WireFault) -> Exception:
        self._dialogue.abort()
        words = f"{fault.text}; the whole message had been handed over, so it may or may not have arrived"
        return self._dialogue.found(
            Stage.CONTENT, words, fault.status, outcome=Outcome.UNCERTAIN, next_=Next.NOBODY
        )


def _next(reply: SmtpReply) -> Next:
    # RFC 5321 section 3.8: with 421 the host closes the session; that is not about this message.
    return Next.HOST if reply.code == SERVICE_CLOSING else Next.NOBODY


def _recipient_outcome(reply: SmtpReply) -> Outcome:
    if reply.code == 552 and reply.enhanced_status not in _WORD_OF_ITS_OWN:
        return Outcome.DELAYED
    return by_code(reply)
