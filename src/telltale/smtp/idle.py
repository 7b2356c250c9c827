"""Open connections that wait for the next message to the same host."""

from __future__ import annotations

import asyncio

from telltale.smtp.connection import Connection
from telltale.smtp.route import Hop, Relay
from telltale.smtp.transcript import Transcript


class IdleConnections:
    """What `take` gives, nobody else has. What `put` cannot keep gets its QUIT in the background."""

    def __init__(self, idle_seconds: float, messages_per_connection: int) -> None:
        self._idle_seconds = idle_seconds
        self._most_messages = messages_per_connection
        self._waiting: dict[tuple[Hop, Relay | None], list[tuple[Connection, asyncio.TimerHandle]]] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = False

    def take(self, hop: Hop, relay: Relay | None) -> Connection | None:
        """The one that was used last, or None."""
        waiting = self._waiting.get((hop, relay), [])
        while waiting:
            connection, timer = waiting.pop()
            timer.cancel()
            if connection.is_usable:
                return connection
            self._dismiss(connection)
        self._waiting.pop((hop, relay), None)
        return None

    def put(self, connection: Connection) -> None:
        connection.transcript = Transcript()  # what is said from here on belongs to no attempt
        if self._closed or connection.messages >= self._most_messages or not connection.is_usable:
            self._dismiss(connection)
            return
        timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._expire, connection)
        self._waiting.setdefault((connection.hop, connection.relay), []).append((connection, timer))

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
        key = (connection.hop, connection.relay)
        pairs = [pair for pair in self._waiting.pop(key, []) if pair[0] is not connection]
        if pairs:
            self._waiting[key] = pairs
        self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        goodbye = asyncio.get_running_loop().create_task(connection.quit())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)
