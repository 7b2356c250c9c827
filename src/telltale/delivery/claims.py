"""Claiming: taking deliveries from the queue under a lease, with all that a worker needs to try them.

SQL by hand, since these statements run for every mail that leaves: bench/claim.py and bench/deliver.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from telltale.delivery.destinations import Lane, ready_lanes, rearm


@dataclass(frozen=True, slots=True)
class Claim:
    """One delivery that a worker has under its lease."""

    delivery_id: int
    attempt_id: int
    recipient: str
    domain: str
    destination: str
    message_id: int
    file: str  # the message's name in the storage
    size: int  # octets of the message
    part_id: int
    conversation_id: int
    mailbox_id: int
    is_overridden: bool  # a person wants it to go out, whatever stands in the way


@transaction.atomic
def claim(owner: uuid.UUID, *, most: int, lease: timedelta) -> list[Claim]:
    """Take up to `most` deliveries whose time has come and open an attempt for each.

    Destinations share what there is; within one the oldest goes first.
    """
    now = timezone.now()
    lanes = ready_lanes(now, most=most)
    if not lanes:
        return []
    rows = _take(_first_of(lanes, now), owner=owner, now=now, until=now + lease)
    rearm(lanes, now)
    return [Claim(*row) for row in rows]


# What another worker has just locked is passed over, and so is what a paused mailbox has.
_FIRST = """
SELECT waiting.id FROM unnest(%(names)s::text[], %(rooms)s::int[]) AS lane(name, room)
CROSS JOIN LATERAL (
    SELECT id FROM delivery_delivery
    WHERE destination = lane.name AND state IN ('queued', 'delayed') AND next_attempt_at <= %(now)s
      AND mailbox_id NOT IN (SELECT id FROM conversations_mailbox WHERE paused_at IS NOT NULL)
    ORDER BY next_attempt_at
    LIMIT lane.room
    FOR UPDATE SKIP LOCKED
) AS waiting
"""


def _first_of(lanes: Sequence[Lane], now: datetime) -> list[int]:
    names, rooms = [lane.name for lane in lanes], [lane.room for lane in lanes]
    with connection.cursor() as cursor:
        cursor.execute(_FIRST, {"names": names, "rooms": rooms, "now": now})
        return [pk for (pk,) in cursor.fetchall()]


# The transition is Event.CLAIMED, which leads from every waiting state to "sending": states.py, and a test.
_TAKE = """
WITH taken AS (
    UPDATE delivery_delivery
    SET state = 'sending', next_attempt_at = NULL, settled_at = %(now)s, attempt_count = attempt_count + 1,
        lease_owner = %(owner)s, lease_until = %(until)s
    WHERE id = ANY(%(ids)s)
    RETURNING *
), opened AS (
    INSERT INTO delivery_attempt (delivery_id, number, started_at)
    SELECT id, attempt_count, %(now)s FROM taken
    RETURNING id, delivery_id
)
SELECT taken.id, opened.id, taken.recipient, taken.domain, taken.destination, message.id, message.content,
    message.size, part.id, part.conversation_id, taken.mailbox_id, taken.overridden
FROM taken
JOIN opened ON opened.delivery_id = taken.id
JOIN delivery_outgoingmessage AS message ON message.id = taken.message_id
JOIN conversations_part AS part ON part.id = message.part_id
ORDER BY taken.id
"""


def _take(ids: Sequence[int], *, owner: uuid.UUID, now: datetime, until: datetime) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"ids": list(ids), "owner": owner, "now": now, "until": until})
        return list(cursor.fetchall())
