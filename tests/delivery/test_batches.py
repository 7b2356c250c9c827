"""Batches: nobody waits for one to fill, and nobody suffers for another but by what broke them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from telltale.delivery.batches import Batches


async def test_what_comes_while_one_batch_is_under_way_goes_together_in_the_next():
    seen: list[list[int]] = []
    started, go_on = asyncio.Event(), asyncio.Event()

    async def work(batch: Mapping[int, str]) -> Callable[[int], str]:
        seen.append(list(batch))
        started.set()
        await go_on.wait()
        return lambda key: batch[key].upper()

    batches = Batches(work, most=10)
    first = asyncio.create_task(batches(1, "a"))
    await started.wait()
    others = [asyncio.create_task(batches(number, "b")) for number in (2, 3)]
    await asyncio.sleep(0)
    go_on.set()

    assert await first == "A"
    assert await asyncio.gather(*others) == ["B", "B"]
    assert seen == [[1], [2, 3]]


async def test_no_batch_is_larger_than_it_may_be():
    sizes: list[int] = []

    async def work(batch: Mapping[int, None]) -> Callable[[int], int]:
        sizes.append(len(batch))
        return lambda key: key

    batches = Batches(work, most=4)

    assert await asyncio.gather(*(batches(number, None) for number in range(10))) == list(range(10))
    assert max(sizes) == 4


async def test_what_the_work_raises_reaches_all_that_were_in_it_and_the_next_batch_runs():
    async def work(batch: Mapping[int, str]) -> Callable[[int], str]:
        if "bad" in batch.values():
            raise ValueError("this one breaks it")
        return lambda key: "done"

    batches = Batches(work, most=10)

    with pytest.raises(ValueError, match="this one breaks it"):
        await batches(1, "bad")
    assert await batches(2, "good") == "done"


async def test_a_caller_that_was_cancelled_does_not_disturb_the_rest():
    started, go_on = asyncio.Event(), asyncio.Event()

    async def work(batch: Mapping[int, None]) -> Callable[[int], int]:
        started.set()
        await go_on.wait()
        return lambda key: key

    batches = Batches(work, most=10)
    first, second = asyncio.create_task(batches(1, None)), asyncio.create_task(batches(2, None))
    await started.wait()
    first.cancel()
    go_on.set()

    assert await second == 2
