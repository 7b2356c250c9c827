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

from telltale.events.models import Event

CHANGES = "telltale_changes"  # pages listen here
QUEUE = "telltale_queue"  # delivery workers listen here
RECONNECT_AFTER = 1.0  # seconds

logger = logging.getLogger(__name__)


def publish(name: str, topics: list[str], **ids: int) -> None:
    """Write down what happened and ring for `topics`; the bell sounds when the transaction commits."""
    Event.objects.create(name=name, ids=ids)
    ring(CHANGES, json.dumps({"topics": topics, "ids": ids}))


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
    options = {name: value for name, value in database["OPTIONS"].items() if name != "pool"}
    return {name: value for name, value in {**named, **options}.items() if value not in ("", None)}
