"""The lanes of the queue: which are ready, how fast each may go.

A claim walks over lanes, not over deliveries: one provider with fifty thousand waiting mails has one lane, takes
its share of a worker, and delays nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Greatest
from django.utils import timezone

from telltale.conversations.models import Mailbox
from telltale.delivery.models import AT_ONCE, Delivery, Destination
from telltale.delivery.states import WAITING, State

RELAY = "relay "  # the lane of a mailbox's relay begins so; no domain has a space
# A stranger's server is spared; a relay is there for our mail, and may have more as long as it takes all of it.
MOST_AT_ONCE_BY_RELAY = 80

# A lane with room has fewer on their way than it takes at once. Those without are as few as there are tries in hand.
_READY = """
    SELECT name, per_minute, at_once - busy.count
    FROM delivery_destination
    CROSS JOIN LATERAL (
        SELECT count(*) FROM delivery_delivery WHERE destination = name AND state = 'sending'
    ) AS busy
    WHERE ready_at <= %s AND busy.count < at_once
    ORDER BY ready_at
    LIMIT %s
    FOR UPDATE OF delivery_destination SKIP LOCKED
"""
_NEXT_READY = """
    SELECT ready_at FROM delivery_destination
    CROSS JOIN LATERAL (
        SELECT count(*) FROM delivery_delivery WHERE destination = name AND state = 'sending'
    ) AS busy
    WHERE ready_at IS NOT NULL AND busy.count < at_once
    ORDER BY ready_at
    LIMIT 1
"""
# Behind the others that are ready by now, and never before its own next delivery or the end of its block.
_REARM = """
    UPDATE delivery_destination
    SET ready_at = CASE WHEN next.at IS NOT NULL THEN
        GREATEST(next.at, %(now)s, blocked_until, %(now)s + (60.0 / per_minute) * interval '1 second')
    END
    FROM (
        SELECT lane.name, (
            SELECT next_attempt_at FROM delivery_delivery
            WHERE destination = lane.name AND state IN ('queued', 'delayed')
            ORDER BY next_attempt_at LIMIT 1
        ) AS at
        FROM unnest(%(names)s::text[]) AS lane(name)
    ) AS next
    WHERE next.name = delivery_destination.name
"""


@dataclass(frozen=True, slots=True)
class Lane:
    """A destination that is ready, locked until the transaction ends, and how many it may have now."""

    name: str
    room: int


def destination_of(mailbox: Mailbox, domain: str) -> str:
    """The lane for mail from this mailbox to this domain: whoever we really talk to sets the pace."""
    relays = mailbox.relays_in_order
    return f"{RELAY}{relays[0].host.lower()}:{relays[0].port}" if relays else domain


def change_lanes(mailbox: Mailbox) -> None:
    """What waits in this mailbox waits where its mail now leaves: after a change of its way, or of its relays."""
    waiting = Delivery.objects.filter(mailbox=mailbox, state__in=[*WAITING, State.HELD])
    relays = mailbox.relays_in_order
    waiting.update(destination=Value(destination_of(mailbox, "")) if relays else F("domain"))


def ready_lanes(now: datetime, *, most: int) -> list[Lane]:
    """The lanes that may have deliveries now, those that waited longest first; at most `most` deliveries in all.

    Each gets the same share, and no lane gets more than half of what is free as long as others may come.
    """
    with connection.cursor() as cursor:
        cursor.execute(_READY, [now, most])
        rows = cursor.fetchall()
    rooms = [1 if per_minute else room for _, per_minute, room in rows]
    return [
        Lane(name, share)
        for (name, _, _), share in zip(rows, _shares(rooms, most=most), strict=True)
        if share > 0
    ]


def _shares(rooms: Sequence[int], *, most: int) -> list[int]:
    """`most` divided among lanes with so much room each, round by round, so that none goes without."""
    shares = [0] * len(rooms)
    ceiling = max(1, (most + 1) // 2)
    while most > 0:
        hungry = [lane for lane, room in enumerate(rooms) if shares[lane] < min(room, ceiling)][:most]
        if not hungry:
            break
        for lane in hungry:
            shares[lane] += 1
        most -= len(hungry)
    return shares


def rearm(lanes: Sequence[Lane], now: datetime) -> None:
    """Say when these lanes are ready again, after their deliveries have been claimed."""
    with connection.cursor() as cursor:
        cursor.execute(_REARM, {"names": [lane.name for lane in lanes], "now": now})


def next_ready() -> datetime | None:
    """When the next lane with room wants a worker; None where nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_READY)
        row = cursor.fetchone()
    return row[0] if row else None


def slow_down(name: str, pause: timedelta) -> None:
    """They said that it is too much: half as many at once, and nobody knocks before the pause is over."""
    until = timezone.now() + pause
    Destination.objects.filter(name=name).update(
        at_once=Greatest(F("at_once") / 2, 1),
        blocked_until=Greatest(F("blocked_until"), Value(until)),
        ready_at=Greatest(F("ready_at"), Value(until)),
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """What a destination has told of itself: who answered, and the largest message that they take."""

    provider: str
    size_limit: int | None  # octets


# They took one: one more at once, up to the most. Most of the time there is nothing new, and nothing is written.
_HEARD = """
    UPDATE delivery_destination AS destination
    SET provider = heard.provider, size_limit = heard.size_limit,
        at_once = CASE WHEN heard.took_one THEN LEAST(at_once + 1, heard.most) ELSE at_once END,
        blocked_until = CASE WHEN heard.took_one THEN NULL ELSE blocked_until END
    FROM unnest(
        %(names)s::text[], %(providers)s::text[], %(limits)s::bigint[], %(most)s::int[], %(took)s::boolean[]
    ) AS heard(name, provider, size_limit, most, took_one)
    WHERE destination.name = heard.name AND (
        destination.provider <> heard.provider OR destination.size_limit IS DISTINCT FROM heard.size_limit
        OR heard.took_one AND (at_once < heard.most OR blocked_until IS NOT NULL))
"""


def hear(answers: Mapping[str, Answered], *, took_one: bool) -> None:
    """Remember who answers at these destinations, and speed them up again where they took a delivery."""
    names = sorted(answers)
    values: dict[str, Any] = {
        "names": names,
        "providers": [answers[name].provider for name in names],
        "limits": [answers[name].size_limit for name in names],
        "took": [took_one] * len(names),
        "most": [MOST_AT_ONCE_BY_RELAY if name.startswith(RELAY) else AT_ONCE for name in names],
    }
    with connection.cursor() as cursor:
        cursor.execute(_HEARD, values)
