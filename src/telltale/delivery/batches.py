"""Doing once what many wait for: while one batch is under way, the next one gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key")
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batches(Generic[Key, Item, Answer]):
    """Hands `work` all that came since its last run; each caller waits for the run that has its item.

    A single item is worked on at once; `gather` is how long, in seconds, a busy one waits between two runs, so that
    a few large batches are written instead of many small ones. What `work` raises, all that were in
    its batch get.
    """

    def __init__(
        self,
        work: Callable[[Mapping[Key, Item]], Awaitable[Callable[[Key], Answer]]],
        *,
        most: int,
        gather: float = 0.0,
    ) -> None:
        self._work = work
        self._gather = gather
        self._most = most
        self._waiting: dict[Key, tuple[Item, asyncio.Future[Answer]]] = {}
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self, key: Key, item: Item) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (item, future)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._one_batch()
                await asyncio.sleep(self._gather)
        finally:
            self._runner = None

    async def _one_batch(self) -> None:
        keys = list(self._waiting)[: self._most]
        batch = {key: self._waiting.pop(key) for key in keys}
        try:
            answer = await self._work({key: item for key, (item, _) in batch.items()})
        except Exception as error:  # theirs to deal with, one by one
            for key in _still_awaited(batch):
                batch[key][1].set_exception(error)
            return
        for key in _still_awaited(batch):
            batch[key][1].set_result(answer(key))


def _still_awaited(batch: Mapping[Key, tuple[Item, asyncio.Future[Answer]]]) -> list[Key]:
    """Without those whose caller has been cancelled meanwhile."""
    return [key for key, (_, future) in batch.items() if not future.done()]
