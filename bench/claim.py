"""What one claim costs while a thousand, a hundred thousand and a million deliveries wait.

    python bench/claim.py [--most 1000000]

Fills the queue in three shapes: everything for one destination, for a thousand, and one each; half of it due, half
delayed until tomorrow. Times `queue.claim` of twenty with all its statements, rolled back each time. The peer, in
the same run: the outbox that many write first, `SELECT … WHERE due ORDER BY due LIMIT 20 FOR UPDATE SKIP LOCKED`
over one index, without destinations and without attempts. Flat means: the last column stays near 1.
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from supplies import database

ROUNDS = 60
SHAPES = {"one destination": 1, "1,000 destinations": 1_000, "one each": 0}

_FILL = """
INSERT INTO delivery_delivery (
    message_id, mailbox_id, recipient, domain, destination, role, state, queued_at, attempt_count,
    next_attempt_at, held_because, overridden, created_at
)
SELECT %(message)s, %(mailbox)s, 'p' || n || '@works.example', 'works.example',
    'lane' || CASE WHEN %(lanes)s = 0 THEN n ELSE n %% %(lanes)s END, 'to', 'queued', now(), 0,
    now() + CASE WHEN n %% 2 = 0 THEN interval '-1 second' * (n %% 1000) ELSE interval '1 day' END, '', false, now()
FROM generate_series(%(since)s, %(until)s) AS n
"""
_LANES = """
INSERT INTO delivery_destination (name, ready_at, at_once, provider)
SELECT destination, min(next_attempt_at), 20, '' FROM delivery_delivery GROUP BY destination
ON CONFLICT (name) DO UPDATE SET ready_at = EXCLUDED.ready_at
"""
_PEER = """
SELECT id FROM peer WHERE due <= now() ORDER BY due LIMIT 20 FOR UPDATE SKIP LOCKED
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=1_000_000, help="deliveries that wait in the end")
    most = parser.parse_args().most
    with database():
        for shape, lanes in SHAPES.items():
            measure_shape(shape, lanes, sorted({1_000, min(100_000, most), most}))


def measure_shape(shape: str, lanes: int, sizes: list[int]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE delivery_delivery, delivery_destination, delivery_outgoingmessage CASCADE")
        cursor.execute("DROP TABLE IF EXISTS peer")
        cursor.execute("CREATE TABLE peer (id bigint PRIMARY KEY, due timestamptz NOT NULL)")
        cursor.execute("CREATE INDEX ON peer (due)")
    message, mailbox = a_message()
    first, filled = 0.0, 0
    for size in sizes:
        fill(message, mailbox, lanes, since=filled + 1, until=size)
        filled = size
        claim, peer = in_turn(time_claim, time_peer)
        first = first or claim
        print(
            f"{shape:20} {size:>9,} waiting   claim of 20: {claim:6.2f} ms   plain outbox: {peer:5.2f} ms   "
            f"{claim / peer:5.1f} x   {claim / first:4.2f} x the first",
            flush=True,
        )


def a_message() -> tuple[int, int]:
    """One stored message in one conversation; what is in it does not matter to a claim."""
    from supplies import queue_replies, relay_mailbox

    from telltale.conversations.models import Mailbox
    from telltale.delivery.models import Delivery, OutgoingMessage

    mailbox = Mailbox.objects.first() or relay_mailbox("support@lamp.example", 2525)
    queue_replies(mailbox, ["ana@works.example"], content=b"Subject: x\r\n\r\nx\r\n")
    Delivery.objects.all().delete()
    return OutgoingMessage.objects.get().pk, mailbox.pk


def fill(message: int, mailbox: int, lanes: int, *, since: int, until: int) -> None:
    from django.db import connection

    values = {"message": message, "mailbox": mailbox, "lanes": lanes, "since": since, "until": until}
    with connection.cursor() as cursor:
        # A million rows one by one through the trigger would take minutes; what it does is done once, below.
        cursor.execute("ALTER TABLE delivery_delivery DISABLE TRIGGER telltale_delivery_waits")
        cursor.execute(_FILL, values)
        cursor.execute("ALTER TABLE delivery_delivery ENABLE TRIGGER telltale_delivery_waits")
        cursor.execute(_LANES)
        cursor.execute(
            "INSERT INTO peer SELECT id, next_attempt_at FROM delivery_delivery ON CONFLICT DO NOTHING"
        )
        cursor.execute("VACUUM ANALYZE delivery_delivery")
        cursor.execute("VACUUM ANALYZE delivery_destination")
        cursor.execute("VACUUM ANALYZE peer")


def in_turn(*works: Callable[[], float]) -> list[float]:
    """The median milliseconds of each, one after the other, so that the machine's moods hit both."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for kept, work in zip(times, works, strict=True):
            kept.append(work())
    return [statistics.median(kept) for kept in times]


def time_claim() -> float:
    from telltale.delivery import claims

    owner = uuid.uuid4()
    return _timed(lambda: len(claims.claim(owner, most=20, lease=timedelta(seconds=20))))


def time_peer() -> float:
    from django.db import connection

    def take() -> int:
        with connection.cursor() as cursor:
            cursor.execute(_PEER)
            return len(cursor.fetchall())

    return _timed(take)


def _timed(work: Callable[[], int]) -> float:
    """How long it takes, in ms, without what it changed."""
    from django.db import transaction

    with transaction.atomic():
        started = time.perf_counter()
        count = work()
        took = time.perf_counter() - started
        transaction.set_rollback(True)
    if not count:
        raise SystemExit("nothing was claimed: the benchmark measures nothing")
    return took * 1000


if __name__ == "__main__":
    main()
