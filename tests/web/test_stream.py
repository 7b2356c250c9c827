"""The live stream as a browser has it: a real server, real sockets, PostgreSQL's own bell."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.conf import settings
from django.db import connection, transaction
from django.test import Client

from telltale.accounts.models import Agent
from telltale.conversations.actions import add_customer_message
from telltale.conversations.models import Conversation
from telltale.events import bell
from telltale.events.bell import CHANGES, publish
from telltale.web import stream as streams
from telltale.web.stream import BACKLOG, Stream, Subscribers
from tests.delivery.test_queue import NO_SUCH_USER, answer
from tests.delivery.test_worker import PATIENCE, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class WebServer:
    """uvicorn with the desk's application, in a thread."""

    def __init__(self, application: Any, stream: Stream) -> None:
        self.stream = stream
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(
            uvicorn.Config(
                application, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=3
            )
        )
        self.loop: asyncio.AbstractEventLoop
        self._hears = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def start(self) -> None:
        self._thread.start()
        assert self._hears.wait(PATIENCE)

    def close_streams(self) -> None:
        asyncio.run_coroutine_threadsafe(self.stream.close(), self.loop).result(PATIENCE)

    def stop(self) -> None:
        self.close_streams()
        self.server.should_exit = True
        self._thread.join(PATIENCE)
        self.socket.close()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        with self.stream.subscribers.subscribe(["inbox"]) as events:
            serving = asyncio.create_task(self.server.serve(sockets=[self.socket]))
            await events.get()  # the first resync: the listener has its connection
        self._hears.set()
        await serving


class Browser:
    """One open stream, as EventSource reads it."""

    def __init__(self, port: int, *topics: str, cookie: str, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        query = "&".join(f"topic={topic}" for topic in topics)
        self._connection.request("GET", f"/stream?{query}", headers={"Cookie": cookie, **headers})
        self.response = self._connection.getresponse()

    def line(self) -> str:
        return self.response.readline().decode().rstrip("\n")

    def event(self) -> tuple[str, dict[str, int]]:
        """The next event: its name and its data."""
        name = ""
        while not (line := self.line()).startswith("data: "):
            name = line.removeprefix("event: ") if line.startswith("event: ") else name
        return name, json.loads(line.removeprefix("data: "))

    def is_at_its_end(self) -> bool:
        return not self.response.read()

    def close(self) -> None:
        self.response.close()
        self._connection.close()


@pytest.fixture
def web(monkeypatch) -> Iterator[WebServer]:
    from telltale.config import asgi  # Django's part of it wants the static files to be there

    monkeypatch.setattr(bell, "RECONNECT_AFTER", 0.01)
    monkeypatch.setattr(asgi, "stream", Stream())
    server = WebServer(asgi.application, asgi.stream)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def cookie(agent) -> str:
    return cookie_of(agent)


def cookie_of(agent: Agent) -> str:
    client = Client()
    client.force_login(agent)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@pytest.fixture
def browser(web, cookie) -> Iterator[Callable[..., Browser]]:
    """Opens a stream that has had its first resync."""
    opened: list[Browser] = []

    def open_stream(*topics: str, **headers: str) -> Browser:
        opened.append(Browser(web.port, *topics, cookie=cookie, **headers))
        assert opened[-1].event() == ("resync", {})
        return opened[-1]

    yield open_stream
    for one in opened:
        one.close()


def listeners(stream: Stream) -> int:
    return len(set().union(*stream.subscribers._by_topic.values()))


def test_a_stream_is_one_that_no_proxy_holds_back_and_begins_with_a_resync(web, cookie):
    page = Browser(web.port, "inbox", cookie=cookie)

    assert page.response.status == 200
    assert page.response.headers["Content-Type"] == "text/event-stream"
    assert page.response.headers["Cache-Control"] == "no-store"
    assert page.response.headers["X-Accel-Buffering"] == "no"
    assert [page.line() for _ in range(4)] == ["retry: 1000", "event: resync", "data: {}", ""]
    page.close()


def test_a_customers_message_rings_for_its_conversation_and_for_the_list(browser, conversation):
    page = browser("inbox", f"conversation-{conversation.pk}")

    part = add_customer_message(conversation, from_address="ana@oldworks.example", body="Secret words")

    conversation.refresh_from_db()
    ids = {"conversation": conversation.pk, "version": conversation.version, "part": part.pk}
    assert page.event() == (f"conversation-{conversation.pk}", ids)
    assert page.event() == ("inbox", ids)


def test_what_changes_the_list_several_times_within_a_moment_is_told_once(browser, conversation):
    page = browser("inbox", "conversation-5")

    with transaction.atomic():  # so that all bells ring at the same time
        for number in range(3):
            publish("message.received", ["inbox"], conversation=number)
        publish("message.received", ["conversation-5"], conversation=5)

    assert page.event() == ("conversation-5", {"conversation": 5})
    assert page.event() == ("inbox", {"conversation": 0})
    publish("message.received", ["inbox"], conversation=6)
    assert page.event() == ("inbox", {"conversation": 6})


def test_a_refusal_rings_with_the_version_that_has_its_note(browser, conversation, reply):
    [delivery] = reply("ana@oldworks.example")
    page = browser(f"conversation-{conversation.pk}")

    answer(delivery, NO_SUCH_USER)

    _, ids = page.event()
    assert ids["delivery"] == delivery.pk
    assert conversation.parts.get(kind="delivery_note").version <= ids["version"]


def test_a_page_hears_of_its_own_topics_only(browser, conversation):
    page = browser(f"conversation-{conversation.pk}")

    publish("message.received", [f"conversation-{conversation.pk + 1}", "inbox"], conversation=1)
    publish("message.received", [f"conversation-{conversation.pk}"], conversation=2)

    assert page.event() == (f"conversation-{conversation.pk}", {"conversation": 2})


def test_what_is_rolled_back_rings_no_bell(browser, conversation):
    page = browser("inbox")

    with transaction.atomic():
        publish("message.received", ["inbox"], conversation=1)
        transaction.set_rollback(True)
    publish("message.received", ["inbox"], conversation=2)

    assert page.event() == ("inbox", {"conversation": 2})


def test_the_bell_rings_when_all_is_to_be_seen_and_not_before(browser, conversation):
    page = browser("conversation-5")

    with transaction.atomic():
        publish("message.received", ["conversation-5"], conversation=1)
        Conversation.objects.update(subject="to be seen")
        seen_early = threading.Thread(target=lambda: ring_from_elsewhere(conversation=2))
        seen_early.start()
        seen_early.join()

    assert [page.event()[1]["conversation"] for _ in range(2)] == [2, 1]


def ring_from_elsewhere(**ids: int) -> None:
    publish("message.received", ["conversation-5"], **ids)
    connection.close()


def test_a_browser_that_comes_back_is_told_to_look_again_whatever_it_saw_last(browser):
    assert browser("inbox", **{"Last-Event-ID": "4711"}).response.status == 200  # it began with a resync


def test_a_lost_connection_to_the_database_is_made_anew_and_nothing_is_missed(browser, conversation):
    page = browser("inbox")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [f"telltale {CHANGES}"],
        )

    assert page.event() == ("resync", {})
    publish("message.received", ["inbox"], conversation=7)
    assert page.event() == ("inbox", {"conversation": 7})


def test_many_streams_share_one_connection_to_the_database(browser):
    pages = [browser("inbox") for _ in range(8)]

    publish("message.received", ["inbox"], conversation=7)

    assert [page.event() for page in pages] == [("inbox", {"conversation": 7})] * 8
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [f"telltale {CHANGES}"]
        )
        assert cursor.fetchone() == (1,)


def test_a_browser_that_goes_away_is_forgotten(web, browser):
    page = browser("inbox", "conversation-5")
    assert listeners(web.stream) == 1

    page.close()

    wait_until(lambda: listeners(web.stream) == 0)
    assert not web.stream.subscribers._by_topic


def test_a_silent_stream_shows_that_it_lives(browser, monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.02)
    page = browser("inbox")
    assert page.line() == ""  # the end of the resync

    assert [page.line() for _ in range(4)] == [": still here", "", ": still here", ""]


def test_a_stopping_server_ends_its_streams(web, browser):
    page = browser("inbox")

    web.close_streams()

    assert page.line() == ""
    assert page.is_at_its_end()


def no_session(agent: Agent) -> str:
    return ""


def made_up(agent: Agent) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={'a' * 32}"


def signed_out(agent: Agent) -> str:
    client = Client()
    client.force_login(agent)
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    client.logout()
    return cookie


def has_left(agent: Agent) -> str:
    cookie = cookie_of(agent)
    Agent.objects.update(is_active=False)
    return cookie


def has_a_new_password(agent: Agent) -> str:
    cookie = cookie_of(agent)
    agent.set_password("correct horse battery")
    agent.save()
    return cookie


def test_who_is_not_signed_in_gets_no_stream(web, agent):
    for whose in (no_session, made_up, signed_out, has_a_new_password, has_left):
        page = Browser(web.port, "inbox", cookie=whose(agent))
        assert page.response.status == 403, whose.__name__
        assert page.response.read() == b"Sign in first."
        page.close()
    assert listeners(web.stream) == 0


def test_the_cookies_of_others_on_the_same_host_do_no_harm(web, cookie):
    page = Browser(web.port, "inbox", cookie=f'other={{"a": [1, 2]}}; bad name=1; {cookie}')

    assert page.response.status == 200
    page.close()


NO_TOPICS = [
    [],
    [""],
    ["everything"],
    ["conversation-"],
    ["conversation-5%0Adata:"],
    ["conversation-" + "9" * 19],
    ["conversation-5x"],
    [f"conversation-{number}" for number in range(9)],
    ["inbox"] * 100,
]


def test_topics_that_do_not_exist_are_refused(web, cookie):
    for topics in NO_TOPICS:
        page = Browser(web.port, *topics, cookie=cookie)
        assert page.response.status == 400, topics
        assert b"?topic=inbox" in page.response.read()
        page.close()


def test_a_stream_is_only_read(web, cookie):
    other = http.client.HTTPConnection("127.0.0.1", web.port, timeout=PATIENCE)
    other.request("POST", "/stream?topic=inbox", headers={"Cookie": cookie})

    assert other.getresponse().status == 405
    other.close()


def test_a_browser_that_falls_far_behind_gets_one_resync_instead_of_all():
    subscribers = Subscribers()
    with subscribers.subscribe(["conversation-5"]) as events:
        for number in range(BACKLOG + 1):
            subscribers.tell("conversation-5", str(number))
        subscribers.tell("conversation-5", "after it")

        assert [events.get_nowait() for _ in range(events.qsize())] == [
            ("resync", "{}"),
            ("conversation-5", "after it"),
        ]
