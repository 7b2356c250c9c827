"""Open connections that wait for the next message to the same host."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from telltale.smtp.connection import Connection
from telltale.smtp.transcript import Transcript
from telltale.smtp.ways import Way


@dataclass(frozen=True, slots=True)
class Reuse:
    """How long a connection serves: none may idle, live, or carry more than this."""

    idle_seconds: float = 10
    seconds: float = 300  # since it was opened; long-lived sessions keep a host's other clients out
    messages: int = 100


class IdleConnections:
    """What `take` gives, nobody else has. What `put` cannot keep gets its QUIT in the background."""

    def __init__(self, reuse: Reuse) -> None:
        self._reuse = reuse
        self._waiting: dict[Way, list[tuple[Connection, asyncio.TimerHandle]]] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = False

    def take(self, way: Way) -> Connection | None:
        """The one that was used last, or None."""
        waiting = self._waiting.get(way, [])
        while waiting:
            connection, timer = waiting.pop()
            timer.cancel()
            if connection.is_usable:
                return connection
            self._dismiss(connection)
        self._waiting.pop(way, None)
        return None

    def put(self, connection: Connection) -> None:
        connection.belongs_to(Transcript())  # what is said from here on is of no attempt
        seconds = self._seconds_left(connection)
        if self._closed or seconds <= 0 or not connection.is_usable:
            self._dismiss(connection)
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, connection)
        self._waiting.setdefault(connection.way, []).append((connection, timer))

    def _seconds_left(self, connection: Connection) -> float:
        """How long it may wait for its next message."""
        if connection.messages >= self._reuse.messages:
            return 0
        age = time.monotonic() - connection.opened_at
        return min(self._reuse.idle_seconds, self._reuse.seconds - age)

    async def close(self) -> None:
        self._closed = True
        waiting = [connection for pairs in self._waiting.values() for connection, _ in pairs]
        for pairs in self._waiting.values():
            for _, timer in pairs:
                timer.cancel()
        self._waiting.clear()
        for connection in waiting:
            self._dismiss(connection)
        while self._goodbyes:
            await asyncio.wait(self._goodbyes)

    def _expire(self, connection: Connection) -> None:
        key = connection.way
        pairs = [pair for pair in self._waiting.pop(key, []) if pair[0] is not connection]
        if pairs:
            self._waiting[key] = pairs
        self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        goodbye = asyncio.get_running_loop().create_task(connection.quit())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
