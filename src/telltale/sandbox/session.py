"""One client at one server: SMTP, RFC 5321, the server's side.

Rule 1: what happens stands in scenarios.py, the words in providers/. This file only speaks them in order.
Rule 2: a reply of code 421 closes the connection, RFC 5321 section 3.8.
Rule 3: an accepted mail is kept before 250 is said; an event is noted after its reply was written.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from telltale.mail.report import Stage
from telltale.sandbox.events import Instant, Journal, Kind, StoredMail
from telltale.sandbox.hosts import PROVIDER_DOMAINS, Greeting
from telltale.sandbox.memory import Memory, pair
from telltale.sandbox.octets import Incoming, Unreadable
from telltale.sandbox.path import Path, objection_to_sender
from telltale.sandbox.providers import Provider
from telltale.sandbox.scenarios import Manner, Scenario, scenario_for
from telltale.sandbox.timings import Timings

MOST_RECIPIENTS = 100  # RFC 5321 section 4.5.3.1.8
MOST_ERRORS = 20  # replies of class 5 to commands that were none
HEARD_OUT = 2.0  # seconds at most, from our last word to the end of the connection


@dataclass(frozen=True, slots=True)
class Accepted:
    """A mail that was taken for a recipient whose scenario has something follow."""

    mail: StoredMail
    scenario: Scenario
    provider: Provider


@dataclass(frozen=True, slots=True)
class House:
    """What the sessions of one server share."""

    host: str
    provider: Provider
    greeting: Greeting
    timings: Timings
    journal: Journal
    memory: Memory
    follow: Callable[[Accepted], None]  # called with each mail after which a report or an answer is due


class Goodbye(Exception):  # noqa: N818 - no error
    """The server has said its last word."""


class HangUp(Exception):  # noqa: N818 - no error
    """The server closes the connection without a word."""


@dataclass(slots=True)
class _Transaction:
    """What MAIL began: RFC 5321 section 3.3."""

    mail_from: str | None = None
    smtputf8: bool = False  # RFC 6531: addresses may have other letters than those of ASCII
    rcpt_to: list[tuple[str, Scenario]] = field(default_factory=list)


class Session:
    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._house = house
        self._provider = house.provider
        self._incoming = Incoming(reader, idle=house.timings.idle)
        self._writer = writer
        self._client = writer.get_extra_info("peername")[0]
        self._name = house.provider.make_session()
        self._greeted = False
        self._errors = 0
        self._said_at = Instant.now()  # our last reply
        self._transaction = _Transaction()

    async def serve(self) -> None:
        """Until the client leaves, or is shown out."""
        try:
            await self._greet()
            while True:
                await self._obey(await self._incoming.line())
        except Unreadable as unreadable:
            await self._write(unreadable.reply, {})
        except TimeoutError:
            await self._write("421 4.4.2 {host} Error: timeout exceeded", {})
        except Goodbye:
            pass
        except HangUp:
            return
        await self._hear_out()

    async def _hear_out(self) -> None:
        """Until the client has closed as well: to close on octets that were not read resets the connection, and
        the client may never read our last reply.
        """
        self._writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARD_OUT):
                await self._incoming.until_gone()

    # The greeting

    async def _greet(self) -> None:
        self._note(Kind.CONNECTED, "", self._client)
        match self._house.greeting:
            case Greeting.REFUSED:
                await self._refuse("", self._provider.words_for("greeting-refused"))
                raise Goodbye
            case Greeting.BUSY:
                await self._refuse("", self._provider.words_for("greeting-busy"))
            case Greeting.SILENT:
                await self._fall_silent("", "no greeting")
            case Greeting.SLOW:
                await asyncio.sleep(self._house.timings.slow)
        await self._say(self._provider.greeting)

    # Commands

    async def _obey(self, line: bytes) -> None:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            await self._object("500 5.5.2 Syntax error, command is no UTF-8")
            return
        verb, _, argument = text.partition(" ")
        command = self._COMMANDS.get(verb.upper())
        if command is None:
            await self._object("500 5.5.1 Command unrecognized")
        elif not text.isprintable():
            await self._object("501 5.5.2 Syntax error, control character")
        else:
            await command(self, argument)

    async def _object(self, reply: str) -> None:
        """Against a command that is none; too many of them end the session."""
        self._errors += 1
        if self._errors > MOST_ERRORS:
            await self._say("421 4.7.0 {host} Error: too many errors")
        await self._say(reply)

    async def _ehlo(self, argument: str) -> None:
        if not argument.strip():
            await self._object("501 5.5.4 Syntax: EHLO hostname")
            return
        offers = [f"SIZE {self._provider.size}", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING"]
        if self._provider.smtputf8:
            offers.append("SMTPUTF8")
        self._greeted, self._transaction = True, _Transaction()
        lines = [f"{{host}} at your service, [{self._client}]", *offers]
        await self._say("\n".join(f"250-{line}" for line in lines[:-1]) + f"\n250 {lines[-1]}")

    async def _helo(self, argument: str) -> None:
        if not argument.strip():
            await self._object("501 5.5.4 Syntax: HELO hostname")
            return
        self._greeted, self._transaction = True, _Transaction()
        await self._say("250 {host} at your service")

    async def _mail(self, argument: str) -> None:
        path = Path.parse(argument, keyword="FROM:")
        if not self._greeted:
            await self._object("503 5.5.1 EHLO/HELO first")
        elif self._transaction.mail_from is not None:
            await self._object("503 5.5.1 Nested MAIL command")
        elif path is None or (path.address and not path.is_address):
            await self._object("501 5.1.7 Syntax error in sender address: MAIL FROM:<address>")
        elif objection := objection_to_sender(path, self._provider):
            await self._say(objection)
        else:
            self._transaction = _Transaction(path.address, smtputf8="SMTPUTF8" in path.parameters)
            await self._say(self._provider.mail_ok)

    async def _rcpt(self, argument: str) -> None:
        path = Path.parse(argument, keyword="TO:")
        if self._transaction.mail_from is None:
            await self._object("503 5.5.1 MAIL first")
        elif path is None or not path.is_address:
            await self._object("501 5.1.3 Syntax error in recipient address: RCPT TO:<address>")
        elif path.parameters:
            await self._object("555 5.5.4 Unsupported option to RCPT")
        elif objection := self._objection_to_recipient(path):
            await self._refuse(path.address, objection)
        else:
            await self._take_recipient(path.address)

    def _objection_to_recipient(self, path: Path) -> str:
        """Whatever its scenario; "" where there is none."""
        if not path.address.isascii() and not self._transaction.smtputf8:  # RFC 6531 section 3.5
            return "553 5.6.7 Non-ASCII address without SMTPUTF8"
        if len(self._transaction.rcpt_to) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        if path.domain not in PROVIDER_DOMAINS[self._provider.name]:
            return self._provider.words_for("relay")
        return ""

    async def _take_recipient(self, recipient: str) -> None:
        scenario = scenario_for(recipient)
        if scenario.stage is Stage.RCPT and await self._stopped_at_rcpt(recipient, scenario):
            return
        self._transaction.rcpt_to.append((recipient, scenario))
        await self._say(self._provider.rcpt_ok, recipient=recipient)

    async def _stopped_at_rcpt(self, recipient: str, scenario: Scenario) -> bool:
        """Does what the scenario wants now. False where the recipient is to be accepted."""
        who = pair(recipient, self._transaction.mail_from or "")
        words, seconds = self._provider.words_for, 0.0
        match scenario.manner:
            case Manner.DROP:
                self._lose(recipient, "closed instead of an answer to RCPT")
            case Manner.SILENT:
                await self._fall_silent(recipient, "no answer to RCPT")
            case Manner.SLOW:
                await asyncio.sleep(self._house.timings.slow)
                return False
            case Manner.GREYLIST if not (seconds := self._house.memory.seconds_to_wait(who)):
                return False
            case Manner.REFUSE_TWICE if not self._house.memory.is_over_the_rate(who):
                return False
        await self._refuse(recipient, words(scenario.name), seconds=seconds)
        return True

    async def _data(self, argument: str) -> None:
        if argument:
            await self._object("501 5.5.4 Syntax: DATA")
            return
        if not self._transaction.rcpt_to:
            await self._object("503 5.5.1 RCPT first")
            return
        recipient, scenario = self._decisive(Stage.DATA)
        if scenario and scenario.manner is Manner.REFUSE:
            await self._refuse(recipient, self._provider.words_for(scenario.name))
            self._transaction = _Transaction()
            return
        await self._say(self._provider.data_ok)
        if scenario:
            self._lose(recipient, "closed within the content")
        await self._take_content()

    async def _take_content(self) -> None:
        content = await self._incoming.content(most=self._provider.size)
        recipient, scenario = self._decisive(Stage.CONTENT)
        if content is None:
            await self._refuse(self._transaction.rcpt_to[0][0], self._provider.words_for("too-large"))
        elif scenario and scenario.manner is Manner.DROP:
            self._lose(recipient, "closed instead of an answer to the final dot")
        elif scenario:
            await self._refuse(recipient, self._provider.words_for(scenario.name))
        else:
            await self._accept(content)
        self._transaction = _Transaction()

    def _decisive(self, stage: Stage) -> tuple[str, Scenario | None]:
        """The first recipient for whom something other than acceptance happens at this stage."""
        for recipient, scenario in self._transaction.rcpt_to:
            if scenario.stage is stage and scenario.manner is not Manner.ACCEPT:
                return recipient, scenario
        return self._transaction.rcpt_to[0][0], None

    async def _accept(self, content: bytes) -> None:
        house, queue_id, now = self._house, self._provider.make_queue_id(), time.time_ns()
        taken = [
            Accepted(
                StoredMail(now, house.host, self._transaction.mail_from or "", recipient, content, queue_id),
                scenario,
                self._provider,
            )
            for recipient, scenario in self._transaction.rcpt_to
        ]
        for accepted in taken:
            house.journal.keep(accepted.mail)
        reply = await self._say(self._provider.accepted, queue_id=queue_id, size=len(content))
        for accepted in taken:
            self._note(Kind.ACCEPTED, accepted.mail.rcpt_to, reply, instant=self._said_at)
            if accepted.scenario.later and accepted.mail.mail_from:  # RFC 5321 section 6.1: none to <>
                house.follow(accepted)

    async def _rset(self, argument: str) -> None:
        self._transaction = _Transaction()
        await self._say(self._provider.reset)

    async def _noop(self, argument: str) -> None:
        await self._say("250 2.0.0 Ok")

    async def _vrfy(self, argument: str) -> None:
        await self._say("252 2.1.5 Send some mail, I'll try my best")

    async def _quit(self, argument: str) -> None:
        await self._say(self._provider.closing)
        raise Goodbye

    async def _not_here(self, argument: str) -> None:
        await self._object("502 5.5.1 Command not implemented")

    _COMMANDS: ClassVar[Mapping[str, Callable[[Session, str], Awaitable[None]]]] = {
        "EHLO": _ehlo,
        "HELO": _helo,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "VRFY": _vrfy,
        "QUIT": _quit,
        **dict.fromkeys(("STARTTLS", "AUTH", "BDAT", "EXPN", "HELP"), _not_here),
    }

    # What is said, and what is not

    async def _say(self, words: str, **moment: object) -> str:
        reply = await self._write(words, moment)
        _close_after(reply)
        return reply

    async def _refuse(self, recipient: str, words: str, *, seconds: float = 0.0) -> None:
        reply = await self._write(words, {"recipient": recipient, "seconds": math.ceil(seconds)})
        self._note(Kind.REFUSED, recipient, reply, instant=self._said_at)
        _close_after(reply)

    async def _write(self, words: str, moment: Mapping[str, object]) -> str:
        """The words as they went to the wire."""
        reply = words.format_map({**self._moment(str(moment.get("recipient", ""))), **moment})
        self._said_at = Instant.now()
        self._writer.write(reply.replace("\n", "\r\n").encode() + b"\r\n")
        await self._writer.drain()
        return reply

    def _moment(self, recipient: str) -> dict[str, object]:
        mail_from = self._transaction.mail_from or ""
        return {
            "recipient": recipient,
            "recipient_domain": recipient.rpartition("@")[2],
            "client": self._client,
            "domain": mail_from.rpartition("@")[2],
            "host": self._house.host,
            "mail_from": mail_from,
            "session": self._name,
            "time": int(time.time()),
        }

    def _lose(self, recipient: str, detail: str) -> None:
        self._note(Kind.LOST, recipient, detail)
        raise HangUp

    async def _fall_silent(self, recipient: str, detail: str) -> None:
        self._note(Kind.LOST, recipient, detail)
        await self._incoming.until_gone()
        raise HangUp

    def _note(self, kind: Kind, recipient: str, detail: str, *, instant: Instant | None = None) -> None:
        self._house.journal.note(self._house.host, kind, recipient=recipient, detail=detail, instant=instant)


def _close_after(reply: str) -> None:
    if reply.startswith("421"):
        raise Goodbye
