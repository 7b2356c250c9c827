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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeAlias, TypeVar

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")

import django
import uvloop
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, close_old_connections, connections
from django.utils import timezone

django.setup()

from telltale.channels.email import WayOut  # noqa: E402  (needs Django to be set up)
from telltale.config.memory import keep_out_of_collections  # noqa: E402
from telltale.conversations.dkim_keys import ascii_domain, signers  # noqa: E402
from telltale.conversations.fields import UnreadableError  # noqa: E402
from telltale.conversations.models import Mailbox  # noqa: E402
from telltale.delivery import destinations, holds, incidents, queue  # noqa: E402
from telltale.delivery.acceptances import Acceptance, record_acceptances  # noqa: E402
from telltale.delivery.batches import Batches  # noqa: E402
from telltale.delivery.claims import Claim, claim  # noqa: E402
from telltale.delivery.contents import Contents  # noqa: E402
from telltale.delivery.queue import LeaseLostError  # noqa: E402
from telltale.events.bell import QUEUE, listen  # noqa: E402
from telltale.mail.dkim import Signer, signed  # noqa: E402
from telltale.smtp.session import AttemptResult, Outcome  # noqa: E402

DATABASE_THREADS = 4
LONGEST_NAP = 1.0  # seconds: what no bell announces (a lease that ran out) is found by looking
SHORTEST_NAP = 0.02  # seconds, where something is due that another worker has just locked
MOST_IN_A_BATCH = 100
GATHER = 0.004  # seconds between two batches, and between two claims, of a worker that is busy
RECENT = 1.0  # seconds for which what is known of mailboxes and incidents is good enough
DATABASE_AGAIN = 1.0  # seconds between two tries to record an answer while the database is away

logger = logging.getLogger(__name__)
T = TypeVar("T")
Signers: TypeAlias = Sequence[Signer] | UnreadableError


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What hardly ever changes, and every try needs."""

    mailboxes: Mapping[int, Mailbox]
    signers: Mapping[str, Signers]  # by domain of ours
    obstructions: Mapping[str, incidents.Obstruction]  # by provider


def _surroundings() -> Surroundings:
    mailboxes = Mailbox.objects.prefetch_related("relays").in_bulk()
    for mailbox in mailboxes.values():
        mailbox.relays_in_order  # noqa: B018  # looked up here: where it is needed, nobody may wait for the database
    return Surroundings(mailboxes, signers(), incidents.obstructions())


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A stored message, as the mail of this domain of ours."""

    file: str
    domain: str


class HeldBackError(Exception):
    """This delivery is not tried: its provider takes no mail of ours at the moment."""

    def __init__(self, incident_id: int) -> None:
        super().__init__(f"held back by incident {incident_id}")
        self.incident_id = incident_id


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
        self._surroundings = Surroundings({}, {}, {})
        self._looked_around = -RECENT
        self._contents = Contents(self._read_content)
        self._read = Batches(self._read_files, most=MOST_IN_A_BATCH)
        self._start_content = Batches(self._mark_content_started, most=MOST_IN_A_BATCH, gather=GATHER)
        self._accept = Batches(self._record_acceptances, most=MOST_IN_A_BATCH, gather=GATHER)

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
                await asyncio.sleep(GATHER)
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
        claims = await self._in_database(partial(claim, self.owner, most=free, lease=self._lease))
        if claims:
            await self._look_around({one.mailbox_id for one in claims})
        for one in claims:
            task = asyncio.create_task(self._try(one), name=f"delivery {one.delivery_id}")
            self._tries[task] = one.attempt_id
            task.add_done_callback(self._tried)
        return len(claims)

    async def _look_around(self, mailboxes: set[int]) -> None:
        """Know the mailboxes and the incidents as they were a second ago at most."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_around >= RECENT or not mailboxes <= self._surroundings.mailboxes.keys():
            self._surroundings = await self._in_database(_surroundings)
            self._looked_around = now

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
        except HeldBackError as held_back:
            await self._in_database(partial(queue.hold_back, claim.attempt_id, held_back.incident_id))
        except Exception as error:  # whatever it is, the agent must learn of it
            logger.exception("delivery %s failed by our own fault", claim.delivery_id)
            await self._in_database(partial(queue.record_fault, claim.attempt_id, error))

    async def _talk(self, claim: Claim) -> None:
        mailbox = self._surroundings.mailboxes[claim.mailbox_id]
        outgoing = Outgoing(claim.file, ascii_domain(mailbox.domain))
        async with self._contents.of(outgoing, size=claim.size) as content:
            result = await self._way_out.deliver(
                claim,
                mailbox,
                content,
                before_contact=partial(self._hold_back, claim),
                before_content=partial(self._before_content, claim),
            )
        if result.outcome != Outcome.ACCEPTED or await self._needs_care(claim, result):
            await self._in_database(partial(queue.record_result, claim.attempt_id, result))

    async def _hold_back(self, claim: Claim, host: str) -> None:
        """Raise HeldBackError where this host's provider takes no mail of ours, unless this one may find out."""
        obstruction = self._surroundings.obstructions.get(incidents.provider_of(host, claim.domain))
        if obstruction is None or claim.is_overridden:
            return
        is_due = obstruction.probe_at <= timezone.now()
        if not is_due or not await self._in_database(partial(incidents.take_probe, obstruction.incident_id)):
            raise HeldBackError(obstruction.incident_id)

    async def _before_content(self, claim: Claim) -> None:
        if not await self._start_content(claim.attempt_id, None):
            raise LeaseLostError(f"attempt {claim.attempt_id} was taken for lost before its content went out")

    async def _needs_care(self, claim: Claim, result: AttemptResult) -> bool:
        """Record an acceptance together with others. True where it has to be recorded by itself."""
        try:
            return await self._accept(claim.attempt_id, Acceptance(claim, result))
        except Exception:  # one of them broke the batch: each on its own, so that only that one suffers
            logger.exception("a batch of acceptances could not be recorded")
            return True

    async def _read_content(self, outgoing: Outgoing) -> bytes:
        content = await self._read(outgoing, self._surroundings.signers.get(outgoing.domain, ()))
        if isinstance(content, bytes):
            return content
        raise content

    async def _read_files(self, batch: Mapping[Outgoing, Signers]) -> Callable[[Outgoing], bytes | Exception]:
        loop = asyncio.get_running_loop()
        return (await loop.run_in_executor(self._threads, _read_and_sign, batch)).__getitem__

    async def _mark_content_started(self, batch: Mapping[int, None]) -> Callable[[int], bool]:
        started = await self._in_database(partial(queue.mark_content_started, list(batch)))
        return started.__contains__

    async def _record_acceptances(self, batch: Mapping[int, Acceptance]) -> Callable[[int], bool]:
        left = await self._in_database(partial(record_acceptances, batch))
        return left.__contains__

    async def _sleep(self) -> None:
        """Until a bell rings, a try ends, the next destination is ready, or it is time to look again."""
        ready = await self._in_database(destinations.next_ready)
        nap = LONGEST_NAP
        if ready is not None and len(self._tries) < self._concurrency:
            nap = min(max((ready - timezone.now()).total_seconds(), SHORTEST_NAP), LONGEST_NAP)
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
            await self._in_database(incidents.close_faded)
            if await self._in_database(holds.settle):
                self._wake.set()
            else:
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


def _read_and_sign(batch: Mapping[Outgoing, Signers]) -> dict[Outgoing, bytes | Exception]:
    """The content of each; where one cannot be had, why: that is the trouble of its own deliveries alone."""
    return {outgoing: _content(outgoing.file, signers) for outgoing, signers in batch.items()}


def _content(file: str, signers: Signers) -> bytes | Exception:
    if isinstance(signers, UnreadableError):
        return signers  # unsigned, mail would be refused or taken for forged, and nobody would know why
    try:
        with default_storage.open(file, "rb") as stored:
            return signed(stored.read(), signers, now=timezone.now())
    except Exception as error:
        return error


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
    keep_out_of_collections()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, worker.stop)
    logger.info("delivering as %s", worker.owner)
    await worker.run()


def main() -> None:
    uvloop.run(serve())


if __name__ == "__main__":
    main()
