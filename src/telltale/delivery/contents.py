"""The messages that a worker has in memory: each read once, however many recipients it has, within a bound."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")

MOST_OCTETS = 256 * 1024 * 1024  # in use at one time; a single larger message still passes, alone
KEPT_OCTETS = 32 * 1024 * 1024  # kept for the next recipient when nobody uses them


@dataclass(slots=True)
class _Content:
    size: int
    reading: asyncio.Future[bytes]
    users: int = 0


class Contents(Generic[Key]):
    """Gives out message contents by what `read` knows them by. Use it within one event loop."""

    def __init__(self, read: Callable[[Key], Awaitable[bytes]], *, most_octets: int = MOST_OCTETS) -> None:
        self._read = read
        self._most_octets = most_octets
        self._contents: OrderedDict[Key, _Content] = OrderedDict()  # least recently used first
        self._octets = 0  # in memory, used or kept
        self._room = asyncio.Condition()

    @asynccontextmanager
    async def of(self, message: Key, *, size: int) -> AsyncIterator[bytes]:
        """The octets of this message, held in memory until the block ends. Waits while memory is full."""
        content = await self._enter(message, size)
        try:
            yield await asyncio.shield(content.reading)
        finally:
            await self._leave(message, content)

    async def _enter(self, message: Key, size: int) -> _Content:
        async with self._room:
            await self._room.wait_for(lambda: message in self._contents or self._fits(size))
            if message not in self._contents:
                self._contents[message] = _Content(size, asyncio.ensure_future(self._read(message)))
                self._octets += size
            content = self._contents[message]
            content.users += 1
            self._contents.move_to_end(message)
            return content

    async def _leave(self, message: Key, content: _Content) -> None:
        async with self._room:
            content.users -= 1
            failed = content.reading.done() and (content.reading.cancelled() or content.reading.exception())
            if failed and self._contents.get(message) is content:
                self._forget(message)  # the next one reads it anew
            self._forget_down_to(KEPT_OCTETS)
            self._room.notify_all()

    def _fits(self, size: int) -> bool:
        self._forget_down_to(max(0, self._most_octets - size))
        return not self._octets or self._octets + size <= self._most_octets

    def _forget_down_to(self, octets: int) -> None:
        """Drop what nobody uses, the least recently used first, until no more than `octets` are in memory."""
        if self._octets <= octets:
            return
        for message in [message for message, content in self._contents.items() if not content.users]:
            self._forget(message)
            if self._octets <= octets:
                return

    def _forget(self, message: Key) -> None:
        self._octets -= self._contents.pop(message).size
