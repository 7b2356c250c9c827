"""The live stream: server-sent events with names and versions, never content.

`GET /stream?topic=inbox&topic=conversation-5` is answered with one event for each bell that rings for one of
these topics, named after the topic. The page then asks for the fragment, with its own rights. Each new
stream begins with `resync`, so that nothing is missed between drawing a page, or losing a connection, and
listening. WHATWG HTML, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from random import SystemRandom
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie

from telltale.events.bell import CHANGES, listen

STREAM_PATH = "/stream"
KEEP_ALIVE = 15.0  # seconds; proxies close a connection that is silent for a minute
BACKLOG = 100  # events that a slow browser may be behind; beyond, one resync replaces them all
MOST_TOPICS = 8
LIST = "inbox"
LIST_WITHIN = (0.1, 0.5)  # seconds; what comes in between is told once, and not to all at once
_TOPIC = re.compile(r"inbox|sandbox|conversation-\d{1,18}")

logger = logging.getLogger(__name__)

Events = asyncio.Queue[tuple[str, str]]  # name and data of each
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Subscribers:
    """Who listens to what, in this process."""

    def __init__(self) -> None:
        self._by_topic: defaultdict[str, set[Events]] = defaultdict(set)
        self._list_timers: dict[Events, asyncio.TimerHandle] = {}

    @contextmanager
    def subscribe(self, topics: list[str]) -> Iterator[Events]:
        queue: Events = asyncio.Queue(BACKLOG)
        for topic in topics:
            self._by_topic[topic].add(queue)
        try:
            yield queue
        finally:
            for topic in topics:
                self._by_topic[topic].discard(queue)
                if not self._by_topic[topic]:
                    del self._by_topic[topic]
            if timer := self._list_timers.pop(queue, None):
                timer.cancel()

    def tell(self, topic: str, data: str) -> None:
        """Tell at once of a conversation, whose readers wait for it, and within a moment of the list.

        Everybody has a list open, and everything changes it.
        """
        for queue in self._by_topic.get(topic, ()):
            if topic == LIST:
                self._tell_soon(queue, data)
            else:
                _put(queue, (topic, data))

    def _tell_soon(self, queue: Events, data: str) -> None:
        if queue not in self._list_timers:
            loop = asyncio.get_running_loop()
            pause = SystemRandom().uniform(*LIST_WITHIN)
            self._list_timers[queue] = loop.call_later(pause, self._tell_list, queue, data)

    def _tell_list(self, queue: Events, data: str) -> None:
        del self._list_timers[queue]
        _put(queue, (LIST, data))

    def tell_all(self, name: str) -> None:
        for queue in set().union(*self._by_topic.values()):
            _put(queue, (name, "{}"))


def _put(queue: Events, event: tuple[str, str]) -> None:
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        event = ("resync", "{}")
    queue.put_nowait(event)


class Stream:
    """The ASGI application behind STREAM_PATH. One database connection listens for all of its streams."""

    def __init__(self) -> None:
        self.subscribers = Subscribers()
        self._listener: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._closing.clear()
                self._listener = asyncio.create_task(self._listen())
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def close(self) -> None:
        self._closing.set()
        if self._listener:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener

    async def _listen(self) -> None:
        async for payload in listen(CHANGES):
            if payload is None:
                self.subscribers.tell_all("resync")
                continue
            bell = json.loads(payload)
            for topic in bell["topics"]:
                self.subscribers.tell(topic, json.dumps(bell["ids"]))

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None and not await _is_signed_in(scope):
            refusal = (403, "Sign in first.")
        if refusal:
            await _answer(send, *refusal)
            return
        await self._serve(_topics(scope), receive, send)

    def _refusal(self, scope: dict[str, Any]) -> tuple[int, str] | None:
        if scope["method"] != "GET":
            return 405, "The stream is read with GET."
        topics = _topics(scope)
        if not 0 < len(topics) <= MOST_TOPICS or not all(_TOPIC.fullmatch(topic) for topic in topics):
            return 400, f"Give one to {MOST_TOPICS} topics, such as ?topic=inbox&topic=conversation-5."
        return None

    async def _serve(self, topics: list[str], receive: Receive, send: Send) -> None:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx holds a stream back otherwise
        ]
        with self.subscribers.subscribe(topics) as events:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            gone = asyncio.create_task(_until_gone(receive))
            closing = asyncio.create_task(self._closing.wait())
            try:
                await self._pump(events, send, stop=(gone, closing))
            finally:
                gone.cancel()
                closing.cancel()
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    async def _pump(
        self,
        events: Events,
        send: Send,
        *,
        stop: tuple[asyncio.Task[Any], ...],
    ) -> None:
        text = "retry: 1000\n" + _event("resync", "{}")
        while True:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
            next_event = asyncio.create_task(events.get())
            done, _ = await asyncio.wait(
                (next_event, *stop), timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED
            )
            if next_event not in done:
                next_event.cancel()
            if done.intersection(stop):
                return
            text = _event(*next_event.result()) if done else ": still here\n\n"


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _topics(scope: dict[str, Any]) -> list[str]:
    """The topics that are asked for; none where so much is asked that it is not worth reading."""
    try:
        query = parse_qs(scope["query_string"].decode("ascii", "replace"), max_num_fields=2 * MOST_TOPICS)
    except ValueError:
        return []
    return list(dict.fromkeys(query.get("topic", [])))


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


@sync_to_async
def _is_signed_in(scope: dict[str, Any]) -> bool:
    """Whether the session cookie belongs to an active agent."""
    sent = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    # As Django's pages read them: the standard library stops at the first cookie that is not to its taste.
    session_key = parse_cookie(sent).get(settings.SESSION_COOKIE_NAME)
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    try:
        return bool(get_user(request).is_authenticated)
    finally:
        close_old_connections()
