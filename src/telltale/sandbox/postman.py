"""Sends what follows an acceptance, some seconds later, to the return path: looked up in the zone, tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from telltale.mail.reply import SmtpReply
from telltale.sandbox.courier import NotTaken, hand_over
from telltale.sandbox.dns import Zone
from telltale.sandbox.events import Journal, Kind
from telltale.sandbox.later import compose_later
from telltale.sandbox.session import Accepted
from telltale.sandbox.timings import Timings
from telltale.sandbox.zone import exchangers

MOST_WAITING = 20_000  # mails; beyond that, one more is dropped and noted
MOST_CONNECTIONS = 20


class Postman:
    def __init__(self, zone: Zone, journal: Journal, timings: Timings) -> None:
        self._zone = zone
        self._journal = journal
        self._timings = timings
        self._connections = asyncio.Semaphore(MOST_CONNECTIONS)
        self._waiting: set[asyncio.Task[None]] = set()

    def follow(self, accepted: Accepted) -> None:
        """Have the scenario's mail sent when its time comes."""
        if len(self._waiting) >= MOST_WAITING:
            self._note(accepted, Kind.UNREPORTED, "too many reports are waiting")
            return
        task = asyncio.create_task(self._send_later(accepted))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def stop(self) -> None:
        """What is still waiting is not sent."""
        for task in tuple(self._waiting):
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _send_later(self, accepted: Accepted) -> None:
        await asyncio.sleep(self._timings.later)
        content = compose_later(accepted, now=datetime.now(UTC))
        obstacle = ""
        for pause in self._pauses():
            await asyncio.sleep(pause)
            try:
                reply = await self._hand_over(accepted, content)
            except NotTaken as refused:
                obstacle = str(refused)
                if refused.is_permanent:
                    break
            except (OSError, ValueError) as error:
                obstacle = str(error) or type(error).__name__
            else:
                self._note(accepted, Kind.REPORTED, str(reply))
                return
        self._note(accepted, Kind.UNREPORTED, obstacle)

    def _pauses(self) -> Iterator[float]:
        yield 0.0
        yield from self._timings.courier_retries

    async def _hand_over(self, accepted: Accepted, content: bytes) -> SmtpReply:
        domain = accepted.mail.mail_from.rpartition("@")[2]
        found = exchangers(self._zone, domain)
        if not found:
            raise ValueError(f"no mail server is known for {domain}")
        async with self._connections:
            return await hand_over(
                found[0], hello=accepted.mail.server, rcpt_to=accepted.mail.mail_from, content=content
            )

    def _note(self, accepted: Accepted, kind: Kind, detail: str) -> None:
        self._journal.note(accepted.mail.server, kind, recipient=accepted.mail.rcpt_to, detail=detail)
