"""The bell between processes: PostgreSQL's NOTIFY, heard over a connection of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from telltale.events import bell
from telltale.events.bell import CHANGES, QUEUE, listen, publish, ring
from telltale.events.models import Event

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 10.0  # seconds


async def in_database(work, *args, **kwargs):
    """Django's part, in its own thread, whose connection it gives back."""

    def with_connection():
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return await sync_to_async(with_connection)()


async def heard(bells: AsyncIterator[str | None]) -> str | None:
    return await asyncio.wait_for(anext(bells), PATIENCE)


def end_the_listeners(channel: str) -> int:
    """As a restart of the database would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s",
            [f"telltale {channel}"],
        )
        (count,) = cursor.fetchone()
    return count


async def test_what_is_published_is_written_down_and_rings_with_its_topics_and_ids():
    async with aclosing(listen(CHANGES)) as bells:
        assert await heard(bells) is None  # connected
        await in_database(publish, "delivery.changed", ["inbox", "conversation-5"], conversation=5, version=3)

        payload = await heard(bells)

    assert payload is not None
    assert json.loads(payload) == {
        "topics": ["inbox", "conversation-5"],
        "ids": {"conversation": 5, "version": 3},
    }
    event = await in_database(Event.objects.get)
    assert (event.name, event.ids) == ("delivery.changed", {"conversation": 5, "version": 3})


async def test_a_transaction_that_is_rolled_back_leaves_no_event_and_no_sound():
    def fail() -> None:
        with transaction.atomic():
            publish("delivery.changed", ["inbox"], conversation=1)
            transaction.set_rollback(True)

    async with aclosing(listen(CHANGES)) as bells:
        await heard(bells)
        await in_database(fail)
        await in_database(publish, "delivery.changed", ["inbox"], conversation=2)

        payload = await heard(bells)

    assert payload is not None
    assert json.loads(payload)["ids"] == {"conversation": 2}
    assert await in_database(Event.objects.count) == 1


async def test_the_bells_of_one_transaction_sound_in_their_order():
    def several() -> None:
        with transaction.atomic():
            for number in range(3):
                publish("delivery.changed", ["inbox"], conversation=number)

    async with aclosing(listen(CHANGES)) as bells:
        await heard(bells)
        await in_database(several)

        sounds = [json.loads(await heard(bells) or "")["ids"]["conversation"] for _ in range(3)]

    assert sounds == [0, 1, 2]


async def test_a_channel_does_not_hear_another():
    async with aclosing(listen(QUEUE)) as bells:
        await heard(bells)
        await in_database(ring, CHANGES, "not for workers")
        await in_database(ring, QUEUE)

        assert await heard(bells) == ""


async def test_after_a_lost_connection_the_listener_says_that_it_may_have_missed_something(monkeypatch):
    monkeypatch.setattr(bell, "RECONNECT_AFTER", 0.01)
    async with aclosing(listen(CHANGES)) as bells:
        await heard(bells)
        assert await in_database(end_the_listeners, CHANGES) == 1

        assert await heard(bells) is None
        await in_database(ring, CHANGES, "heard again")
        assert await heard(bells) == "heard again"


async def test_a_database_that_is_away_is_asked_again_until_it_is_there(monkeypatch):
    monkeypatch.setattr(bell, "RECONNECT_AFTER", 0.01)
    refusals = 3
    connect = psycopg.AsyncConnection.connect

    async def at_first_refused(**where):
        nonlocal refusals
        refusals -= 1
        return await connect(**where | ({"port": "1"} if refusals >= 0 else {}))

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", at_first_refused)

    async with aclosing(listen(CHANGES)) as bells:
        assert await heard(bells) is None

    assert refusals == -1


async def test_a_listener_that_stops_gives_its_connection_back():
    async with aclosing(listen(CHANGES)) as bells:
        await heard(bells)

    assert await in_database(end_the_listeners, CHANGES) == 0
