"""The bell: PostgreSQL's NOTIFY tells other processes that something happened, once it is committed.

Names and ids travel here, never content: whoever hears of a change asks for it with their own rights.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from django.db import connection
from psycopg import sql

CHANGES = "telltale_changes"  # pages listen here
QUEUE = "telltale_queue"  # delivery workers listen here
INBOUND = "telltale_inbound"  # who reads what has come in listens here
FETCHING = "telltale_fetching"  # who fetches mail hears here that the accounts have changed
RECONNECT_AFTER = 1.0  # seconds
_FOR_DJANGO_ALONE = ("pool", "server_side_binding")  # among the options of its connections

logger = logging.getLogger(__name__)


# One round trip for both: nearly every transaction of the desk ends with it.
_PUBLISH = """
    WITH written AS (INSERT INTO events_event (name, ids, at) VALUES (%s, %s::jsonb, clock_timestamp()))
    SELECT pg_notify(%s, %s)
"""


def publish(name: str, topics: list[str], **ids: int) -> None:
    """Write down what happened and ring for `topics`; the bell sounds when the transaction commits."""
    values = [name, json.dumps(ids), CHANGES, json.dumps({"topics": topics, "ids": ids})]
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISH, values)


def ring(channel: str, payload: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


async def listen(channel: str) -> AsyncIterator[str | None]:
    """The payloads that ring on `channel`, for ever. None: connected anew, bells may have been missed."""
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                **_conninfo(), autocommit=True, application_name=f"telltale {channel}"
            ) as listener:
                await listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                yield None
                async for notification in listener.notifies():
                    yield notification.payload
        except psycopg.OperationalError as error:
            logger.warning("no connection to the database, next try in %s s: %s", RECONNECT_AFTER, error)
        await asyncio.sleep(RECONNECT_AFTER)


def _conninfo() -> dict[str, Any]:
    """How Django reaches the database: a listener needs a connection of its own, outside the pool."""
    database = connection.settings_dict
    named = {
        "dbname": database["NAME"],
        "user": database["USER"],
        "password": database["PASSWORD"],
        "host": database["HOST"],
        "port": database["PORT"],
    }
    options = {name: value for name, value in database["OPTIONS"].items() if name not in _FOR_DJANGO_ALONE}
    return {name: value for name, value in {**named, **options}.items() if value not in ("", None)}
