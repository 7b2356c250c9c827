"""The lanes of the queue: fair shares, a pace for each, and never a delivery that no worker hears of."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from telltale.conversations.models import Mailbox
from telltale.delivery import claims, destinations, queue
from telltale.delivery.models import AT_ONCE, Delivery, Destination
from tests.conftest import answered, leave_by_relay

LEASE = timedelta(seconds=20)
TOO_FAST = "421 4.7.28 Our system has detected an unusual rate of mail from your address\r\n"


def claim(most: int = 10) -> list[claims.Claim]:
    return claims.claim(uuid.uuid4(), most=most, lease=LEASE)


def many(reply, domain: str, count: int) -> list[Delivery]:
    return reply(*(f"person{number}@{domain}" for number in range(count)))


def test_a_lane_is_ready_as_soon_as_something_waits_there(reply):
    [delivery] = reply("ana@oldworks.example")

    assert Destination.objects.get(name="oldworks.example").ready_at == delivery.next_attempt_at


def test_a_lane_sleeps_once_nothing_waits_there(reply):
    reply("ana@oldworks.example")

    claim()

    assert Destination.objects.get(name="oldworks.example").ready_at is None
    assert destinations.next_ready() is None


def test_a_lane_wakes_for_its_earliest_delivery(reply):
    [delivery] = reply("ana@oldworks.example")
    claimed = claim()
    queue.record_result(
        claimed[0].attempt_id, answered("452 4.2.2 Mailbox full\r\n", recipient=delivery.recipient)
    )

    delivery.refresh_from_db()
    assert destinations.next_ready() == delivery.next_attempt_at


def test_a_full_lane_leaves_room_for_another(reply):
    many(reply, "slow.example", 30)
    reply("ana@oldworks.example")

    domains = [one.domain for one in claim(most=10)]

    assert domains.count("slow.example") == 5  # half of what is free, since others may come
    assert domains.count("oldworks.example") == 1


def test_lanes_share_what_there_is(reply):
    many(reply, "one.example", 8)
    many(reply, "two.example", 8)

    domains = [one.domain for one in claim(most=8)]

    assert (domains.count("one.example"), domains.count("two.example")) == (4, 4)


def test_no_destination_gets_more_at_once_than_it_takes(reply):
    many(reply, "slow.example", AT_ONCE + 5)

    assert len(claim(most=100)) == AT_ONCE
    assert claim(most=100) == []
    assert destinations.next_ready() is None  # a try that ends wakes the worker, not the clock


def test_a_destination_that_finds_us_too_fast_is_left_alone_for_a_while(reply):
    first, _ = reply("ana@oldworks.example", "finance@oldworks.example")
    [claimed] = claim(most=1)

    queue.record_result(claimed.attempt_id, answered(TOO_FAST, recipient=first.recipient))

    lane = Destination.objects.get(name="oldworks.example")
    assert claim() == []
    assert lane.at_once == AT_ONCE // 2
    assert lane.ready_at == lane.blocked_until > timezone.now() + timedelta(minutes=4)


def test_what_is_queued_during_the_pause_waits_for_its_end(reply):
    Destination.objects.create(name="oldworks.example", blocked_until=timezone.now() + timedelta(minutes=5))

    reply("ana@oldworks.example")

    assert claim() == []


def test_an_acceptance_speeds_the_destination_up_again(reply):
    Destination.objects.create(name="oldworks.example", at_once=3)
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()

    queue.record_result(claimed.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=delivery.recipient))

    assert Destination.objects.get(name="oldworks.example").at_once == 4


def test_a_relay_is_given_more_and_more_at_once_as_long_as_it_takes_them(reply, mailbox):
    leave_by_relay("smtp.lamp.example", 587)
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()

    queue.record_result(claimed.attempt_id, answered("250 2.0.0 Ok\r\n", recipient=delivery.recipient))

    assert Destination.objects.get().at_once == AT_ONCE + 1


@pytest.mark.parametrize(
    ("lane", "most"),
    [("oldworks.example", AT_ONCE), ("relay smtp.lamp.example:587", destinations.MOST_AT_ONCE_BY_RELAY)],
)
def test_there_is_a_bound_to_what_anybody_is_given_at_once(db, lane, most):
    Destination.objects.create(name=lane, at_once=most - 1)

    for _ in range(3):
        destinations.hear({lane: destinations.Answered("mx.example", None)}, took_one=True)

    assert Destination.objects.get().at_once == most


def test_a_limit_per_minute_spaces_the_tries(reply):
    Destination.objects.create(name="oldworks.example", per_minute=30)
    many(reply, "oldworks.example", 3)
    before = timezone.now()

    assert len(claim()) == 1
    assert claim() == []
    assert destinations.next_ready() >= before + timedelta(seconds=2)


def test_a_paused_mailbox_sends_nothing(reply, mailbox):
    reply("ana@oldworks.example")
    Mailbox.objects.update(paused_at=timezone.now())

    assert claim() == []


def test_a_relay_is_one_destination(reply, mailbox):
    leave_by_relay("Smtp.Lamp.example", 587)

    reply("ana@oldworks.example", "finance@ribeiro.example")

    assert list(Destination.objects.values_list("name", flat=True)) == ["relay smtp.lamp.example:587"]


@pytest.mark.django_db(transaction=True)
def test_a_delivery_that_commits_while_its_lane_is_put_to_sleep_is_not_forgotten(reply):
    """The promise of the trigger: whoever waits is heard of, however the two transactions fall together."""
    reply("ana@oldworks.example")
    [late] = reply("late@oldworks.example", leave_at=timezone.now() + timedelta(hours=1))
    queued, may_commit = threading.Event(), threading.Event()

    def send_slowly() -> None:
        try:
            with transaction.atomic():
                Delivery.objects.filter(pk=late.pk).update(next_attempt_at=timezone.now())
                queued.set()
                may_commit.wait(10)
        finally:
            connection.close()

    sender = threading.Thread(target=send_slowly)
    sender.start()
    assert queued.wait(10)

    during = claim()  # the lane is the sender's now: passed over, not put to sleep
    may_commit.set()
    sender.join(10)

    assert during == []
    assert {one.recipient for one in claim()} == {"ana@oldworks.example", "late@oldworks.example"}
