"""The delivery process: claims what is due, talks to mail servers, records what they answered.

Sockets are asyncio's; the database is asked from a few threads, so that a slow commit delays no connection.
An answer is never dropped: while the database is away, its recording is tried again until it is there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TypeVar

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")

import django
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connections
from django.utils import timezone

django.setup()

from telltale.channels.email import WayOut  # noqa: E402  (needs Django to be set up)
from telltale.delivery import queue  # noqa: E402
from telltale.delivery.queue import Claim, LeaseLostError  # noqa: E402
from telltale.events.bell import QUEUE, listen  # noqa: E402

DATABASE_THREADS = 4
LONGEST_NAP = 5.0  # seconds: what no bell announces (a lease that ran out) is found by looking
DATABASE_AGAIN = 1.0  # seconds between two tries to record an answer while the database is away

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Worker:
    """One delivery process. `run` ends after `stop`, when every try in hand has its answer recorded."""

    def __init__(self, way_out: WayOut, *, concurrency: int, lease: timedelta) -> None:
        self.owner = uuid.uuid4()
        self._way_out = way_out
        self._concurrency = concurrency
        self._lease = lease
        self._threads = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")
        self._tries: dict[asyncio.Task[None], int] = {}  # to the attempt that each is busy with
        self._wake = asyncio.Event()
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        helpers = [
            asyncio.create_task(task)
            for task in (self._hear_bells(), self._keep_leases(), self._look_after())
        ]
        try:
            while not self._stopping:
                self._wake.clear()
                claimed = await self._claim()
                if not claimed or len(self._tries) >= self._concurrency:
                    await self._sleep()
            if self._tries:
                await asyncio.wait(tuple(self._tries))
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._way_out.close()
            self._threads.shutdown()

    async def _claim(self) -> int:
        free = self._concurrency - len(self._tries)
        if free <= 0:
            return 0
        claims = await self._in_database(partial(queue.claim, self.owner, most=free, lease=self._lease))
        for claim in claims:
            task = asyncio.create_task(self._try(claim), name=f"delivery {claim.delivery_id}")
            self._tries[task] = claim.attempt_id
            task.add_done_callback(self._tried)
        return len(claims)

    def _tried(self, task: asyncio.Task[None]) -> None:
        del self._tries[task]
        self._wake.set()
        if not task.cancelled() and task.exception():
            # Not even the fault could be recorded: the lease will run out, and the delivery be rescued.
            logger.critical("%s failed", task.get_name(), exc_info=task.exception())

    async def _try(self, claim: Claim) -> None:
        try:
            await self._talk(claim)
        except LeaseLostError as error:
            logger.warning("%s", error)
        except Exception as error:  # whatever it is, the agent must learn of it
            logger.exception("delivery %s failed by our own fault", claim.delivery_id)
            await self._in_database(partial(queue.record_fault, claim.attempt_id, error))

    async def _talk(self, claim: Claim) -> None:
        content = await self._in_database(partial(queue.message_content, claim.message_id))
        started = partial(self._in_database, partial(queue.mark_content_started, claim.attempt_id))
        mailbox = await self._in_database(partial(queue.mailbox, claim.mailbox_id))
        result = await self._way_out.deliver(claim, mailbox, content, before_content=started)
        await self._in_database(partial(queue.record_result, claim.attempt_id, result))

    async def _sleep(self) -> None:
        """Until a bell rings, a try ends, the next delivery is due, or it is time to look again."""
        due = await self._in_database(queue.next_due)
        nap = LONGEST_NAP
        if due is not None and len(self._tries) < self._concurrency:
            nap = min(max((due - timezone.now()).total_seconds(), 0.0), LONGEST_NAP)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), nap)

    async def _hear_bells(self) -> None:
        async for _ in listen(QUEUE):
            self._wake.set()

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            if self._tries:
                attempts = tuple(self._tries.values())
                await self._in_database(partial(queue.extend_leases, self.owner, attempts, lease=self._lease))

    async def _look_after(self) -> None:
        """Rescue what other workers lost; tell people of delays that have become long."""
        while True:
            if await self._in_database(queue.rescue_lost):
                self._wake.set()
            await self._in_database(queue.ask_for_attention)
            await asyncio.sleep(LONGEST_NAP)

    async def _in_database(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; for as long as the database is away, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(self._threads, _with_live_connection, work)
            except (OperationalError, InterfaceError) as error:
                logger.warning("the database is away, next try in %s s: %s", DATABASE_AGAIN, error)
                await asyncio.sleep(DATABASE_AGAIN)


def _with_live_connection(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    except (OperationalError, InterfaceError):
        connections.close_all()
        raise


async def serve() -> None:
    environment = settings.ENVIRONMENT
    worker = Worker(
        WayOut.from_environment(environment),
        concurrency=environment.deliver_concurrency,
        lease=environment.lease,
    )
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, worker.stop)
    logger.info("delivering as %s", worker.owner)
    await worker.run()


def main() -> None:
    asyncio.run(serve())


if __name__ == "__main__":
    main()
