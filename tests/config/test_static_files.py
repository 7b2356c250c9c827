"""Static files as a browser gets them, through ASGI. A warning of Django's is an error here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.asgi import get_asgi_application
from django.core.management import call_command


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module")
def application() -> Any:
    call_command("collectstatic", interactive=False, verbosity=0)
    return get_asgi_application()  # after the files are there: it looks for them once


async def ask(application: Any, path: str, *, method: str = "GET", **headers: str) -> Answer:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), *named],
    }
    exchange = ApplicationCommunicator(application, scope)
    await exchange.send_input({"type": "http.request"})
    start = await exchange.receive_output()
    pieces = [await exchange.receive_output()]
    while pieces[-1].get("more_body"):
        pieces.append(await exchange.receive_output())
    await exchange.wait()
    answered = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], answered, b"".join(piece.get("body", b"") for piece in pieces))


async def test_a_file_with_a_hash_in_its_name_is_kept_for_ever(application: Any):
    answer = await ask(application, staticfiles_storage.url("telltale.css"))

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.body) == int(answer.headers["content-length"]) > 1000


async def test_a_file_under_its_plain_name_is_kept_for_a_minute(application: Any):
    answer = await ask(application, "/static/telltale.css")

    assert answer.headers["cache-control"] == "max-age=60, public"


async def test_a_file_travels_compressed_where_the_browser_takes_it(application: Any):
    answer = await ask(application, staticfiles_storage.url("telltale.css"), accept_encoding="gzip")

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.body.startswith(b"\x1f\x8b")


async def test_a_file_that_the_browser_has_is_not_sent_again(application: Any):
    path = staticfiles_storage.url("telltale.css")
    first = await ask(application, path)

    answer = await ask(application, path, if_none_match=first.headers["etag"])

    assert (answer.status, answer.body) == (304, b"")
    assert "content-type" not in answer.headers


async def test_a_question_for_the_headers_alone_has_no_body(application: Any):
    answer = await ask(application, staticfiles_storage.url("telltale.css"), method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


async def test_a_part_of_a_file_can_be_had(application: Any):
    path = staticfiles_storage.url("telltale.css")
    whole = await ask(application, path)

    answer = await ask(application, path, range="bytes=10-19")

    assert (answer.status, answer.body) == (206, whole.body[10:20])
