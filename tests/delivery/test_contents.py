"""The messages in a worker's memory: read once each, within a bound."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from telltale.delivery.contents import Contents


class Storage:
    """Counts what is read from it, and answers when it is told to."""

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.asked, self.open = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def read(self, message_id: int) -> bytes:
        self.reads.append(message_id)
        self.asked.set()
        await self.open.wait()
        return b"x" * message_id


async def test_a_message_with_many_recipients_is_read_once():
    storage = Storage()
    contents = Contents(storage.read)

    async def one_recipient() -> bytes:
        async with contents.of(7, size=7) as octets:
            return octets

    assert await asyncio.gather(*(one_recipient() for _ in range(20))) == [b"x" * 7] * 20
    assert storage.reads == [7]


async def test_it_waits_while_memory_is_full():
    storage = Storage()
    contents = Contents(storage.read, most_octets=10)
    entered = asyncio.Event()

    async def second() -> None:
        async with contents.of(6, size=6):
            entered.set()

    async with contents.of(5, size=5):
        waiting = asyncio.create_task(second())
        async with contents.of(5, size=5):  # the same message takes no more room
            pass
        assert not entered.is_set()
    await asyncio.wait_for(waiting, 5)
    assert entered.is_set()


async def test_a_message_larger_than_the_bound_still_passes_alone():
    contents = Contents(Storage().read, most_octets=10)

    async with asyncio.timeout(5):
        async with contents.of(50, size=50) as octets:
            assert len(octets) == 50


async def test_what_could_not_be_read_is_read_anew():
    failures = [OSError("the disk is away")]

    async def read(message_id: int) -> bytes:
        if failures:
            raise failures.pop()
        return b"content"

    contents = Contents(read)
    with pytest.raises(OSError, match="the disk is away"):
        async with contents.of(1, size=7):
            raise AssertionError("there is nothing to send")

    async with contents.of(1, size=7) as octets:
        assert octets == b"content"


async def test_a_recipient_that_is_cancelled_takes_nothing_from_the_others():
    storage = Storage()
    storage.open.clear()
    contents = Contents(storage.read)

    async def one_recipient() -> bytes:
        async with contents.of(3, size=3) as octets:
            return octets

    impatient, patient = asyncio.create_task(one_recipient()), asyncio.create_task(one_recipient())
    await storage.asked.wait()
    impatient.cancel()
    storage.open.set()

    assert await patient == b"xxx"
    assert storage.reads == [3]


async def test_unused_messages_make_room_for_others():
    storage = Storage()
    contents = Contents(storage.read, most_octets=10)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(contents.of(8, size=8))

    async with asyncio.timeout(5), contents.of(9, size=9):
        pass

    assert storage.reads == [8, 9]
