"""What a slow provider does to the others: one answers each reply after ten seconds, another at once.

    python bench/pace.py [--replies 1000] [--slow 50000]

One worker, PostgreSQL with its fsync. A reply to the quick provider is committed every 20 ms and timed until its
acceptance is recorded: first with nothing else in the queue, then with fifty thousand due for the slow provider,
and once more with nothing else, for the machine's moods. The peer is that desk alone: a ratio of 1 means that the
slow provider is not felt.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from supplies import database, queue_replies, relay_mailbox, workers

if TYPE_CHECKING:
    from telltale.conversations.models import Mailbox

SLOW = 10.0  # seconds until an answer
EVERY = 0.02  # seconds between two replies
LOOK = 0.002  # seconds between two looks at the database
PATIENCE = 120.0  # seconds
MESSAGE = b"From: support@lamp.example\r\nSubject: Re: Refund\r\n\r\n" + b"The refund left us.\r\n" * 50

_FILL = """
INSERT INTO delivery_delivery (
    message_id, mailbox_id, recipient, domain, destination, role, state, queued_at, attempt_count,
    next_attempt_at, held_because, overridden, created_at
)
SELECT message_id, mailbox_id, 'p' || n || '@slow.example', domain, destination, role, 'queued', now(), 0,
    now(), '', false, now()
FROM delivery_delivery, generate_series(2, %s) AS n WHERE domain = 'slow.example'
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replies", type=int, default=1_000)
    parser.add_argument("--slow", type=int, default=50_000, help="deliveries due for the slow provider")
    options = parser.parse_args()
    quick_port, slow_port = provider(delay=0), provider(delay=SLOW)
    with database():
        quick = relay_mailbox("support@quick.example", quick_port)
        slow = relay_mailbox("support@slow.example", slow_port)
        alone = show("alone", time_replies(quick, options.replies))
        pile_up(slow, options.slow)
        beside = show(f"beside {options.slow:,} for a slow provider", time_replies(quick, options.replies))
        clear()
        again = show("alone again", time_replies(quick, options.replies))
    calm = (alone + again) / 2
    print(f"the 99th percentile beside the slow provider: {beside / calm:.2f} x the one alone")


def provider(*, delay: float) -> int:
    """A mail server in a thread of its own that takes each message after `delay` seconds. Returns its port."""
    ports: list[int] = []
    serving = threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
        serving.set()
        await server.serve_forever()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 provider.example ESMTP\r\n")
            while line := await reader.readline():
                if line.upper().startswith(b"DATA"):
                    writer.write(b"354 Go ahead\r\n")
                    await reader.readuntil(b"\r\n.\r\n")
                    await asyncio.sleep(delay)
                writer.write(b"250 2.0.0 Ok\r\n")
            writer.close()

    threading.Thread(target=asyncio.run, args=[serve()], daemon=True).start()
    serving.wait(PATIENCE)
    return ports[0]


def time_replies(mailbox: Mailbox, count: int) -> list[float]:
    """Milliseconds from the commit of each reply to its recorded acceptance, beside whatever else is queued."""
    from django.db import transaction

    from telltale.events.bell import QUEUE, ring

    mailbox.deliveries.all().delete()
    watch = Watch(mailbox)

    def send(address: str) -> None:
        with transaction.atomic():
            queue_replies(mailbox, [address], content=MESSAGE)
            ring(QUEUE)
        watch.waiting[address] = time.perf_counter()

    with workers(1):
        send("warm@quick.example")
        watch.until_all_are_accepted()
        watch.took.clear()
        for number in range(count):
            send(f"p{number}@quick.example")
            watch.look(for_seconds=EVERY)
        watch.until_all_are_accepted()
    return watch.took


class Watch:
    """Looks every two milliseconds which replies are accepted by now."""

    def __init__(self, mailbox: Mailbox) -> None:
        from telltale.delivery.models import Delivery

        self.waiting: dict[str, float] = {}  # address to when it was committed
        self.took: list[float] = []  # milliseconds
        self._accepted = Delivery.objects.filter(mailbox=mailbox, state="accepted")

    def look(self, *, for_seconds: float) -> None:
        end = time.perf_counter() + for_seconds
        while time.perf_counter() < end:
            self._look()
            time.sleep(LOOK)

    def until_all_are_accepted(self) -> None:
        end = time.perf_counter() + PATIENCE
        while self.waiting:
            self._look()
            time.sleep(LOOK)
            if time.perf_counter() > end:
                raise SystemExit("the worker does not get done")

    def _look(self) -> None:
        accepted = self._accepted.filter(recipient__in=list(self.waiting))
        for address in list(accepted.values_list("recipient", flat=True)):
            self.took.append((time.perf_counter() - self.waiting.pop(address)) * 1000)


def pile_up(mailbox: Mailbox, count: int) -> None:
    from django.db import connection

    queue_replies(mailbox, ["p1@slow.example"], content=MESSAGE)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [count])
        cursor.execute("VACUUM ANALYZE delivery_delivery")


def clear() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE delivery_delivery, delivery_destination, delivery_outgoingmessage CASCADE")


def show(name: str, times: list[float]) -> float:
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(f"{name:40} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms", flush=True)
    return p99


if __name__ == "__main__":
    main()
