"""What the sandbox's servers heard and said, kept for whoever tests, measures or watches.

Rule 1: memory is bounded; the oldest events and mails make room for new ones.
Rule 2: an observer is called at once, in the event loop; it must be quick.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MOST_EVENTS = 50_000
MOST_OCTETS = 64 * 1024 * 1024  # of accepted mail


class Kind(StrEnum):
    """What happened."""

    CONNECTED = "connected"  # a client is here; no recipient
    REFUSED = "refused"  # a reply of class 4 or 5 about a recipient; `detail` is the reply, line by line
    ACCEPTED = "accepted"  # 250 was said after the final dot; `detail` is that reply
    LOST = "lost"  # the server went silent or closed the connection, as the address asked it to
    REPORTED = "reported"  # a later mail (bounce, delay, auto-reply) was taken; `detail` is the reply
    UNREPORTED = "unreported"  # such a mail could not be handed over; `detail` says why


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment by both clocks of this machine."""

    at: int  # nanoseconds since 1970 (UTC)
    perf_counter: int  # nanoseconds, steady

    @classmethod
    def now(cls) -> Instant:
        return cls(time.time_ns(), time.perf_counter_ns())


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing that happened at one server.

    The time of a reply is read right before the kernel gets it: a client may have read the reply before this
    process goes on. Who measures from there measures a little too much and never too little.
    """

    at: int  # both as in Instant
    perf_counter: int
    server: str  # "mx.google.sandbox.test"
    kind: Kind
    recipient: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredMail:
    """One mail that a server took: its envelope, its octets as they came (dots unstuffed), when, and for whom."""

    at: int  # nanoseconds since 1970
    server: str
    mail_from: str
    rcpt_to: str
    content: bytes
    queue_id: str


class Journal:
    """The memory of a sandbox: events and accepted mail."""

    def __init__(self) -> None:
        self.events: deque[Heard] = deque(maxlen=MOST_EVENTS)
        self._mails: deque[StoredMail] = deque()
        self._octets = 0
        self._observers: list[Callable[[Heard], None]] = []

    def observe(self, observer: Callable[[Heard], None]) -> Callable[[], None]:
        """Call `observer` with each event from now on; what is returned ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def note(
        self,
        server: str,
        kind: Kind,
        *,
        recipient: str = "",
        detail: str = "",
        instant: Instant | None = None,
    ) -> None:
        """Without an instant it happens now."""
        instant = instant or Instant.now()
        heard = Heard(instant.at, instant.perf_counter, server, kind, recipient, detail)
        self.events.append(heard)
        for observer in tuple(self._observers):
            observer(heard)

    def keep(self, mail: StoredMail) -> None:
        self._mails.append(mail)
        self._octets += len(mail.content)
        while self._octets > MOST_OCTETS:
            self._octets -= len(self._mails.popleft().content)

    def messages_for(self, address: str) -> list[StoredMail]:
        """The mails that were accepted for this address, oldest first. Letter case does not matter."""
        wanted = address.lower()
        return [mail for mail in self._mails if mail.rcpt_to.lower() == wanted]

    async def wait_for(self, kind: Kind | str, *, recipient: str, count: int, within: float) -> Heard:
        """The `count`-th event of this kind, past ones included. "" as recipient means anybody.

        Raises TimeoutError after `within` seconds.
        """
        kind = Kind(kind)
        seen: asyncio.Queue[Heard] = asyncio.Queue()
        stop = self.observe(seen.put_nowait)
        for heard in self.events:
            seen.put_nowait(heard)
        try:
            async with asyncio.timeout(within):
                while True:
                    heard = await seen.get()
                    count -= heard.kind is kind and recipient.lower() in ("", heard.recipient.lower())
                    if count <= 0:
                        return heard
        except TimeoutError:
            known = (
                ", ".join(f"{heard.kind} {heard.recipient}" for heard in list(self.events)[-5:]) or "nothing"
            )
            who = f" for {recipient}" if recipient else ""
            raise TimeoutError(f"no {kind}{who} within {within} s; the last events: {known}") from None
        finally:
            stop()
