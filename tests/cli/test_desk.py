"""The whole desk as a process: it opens, goes on after a death, stops, and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings

from telltale.cli.prepare import MIGRATING
from tests.cli.helpers import free_port, processes_that_name, running, telltale

OPEN = "Ctrl-C stops it."
_COUNT_AGENTS = "from telltale.accounts.models import Agent; print(Agent.objects.count(), 'agents')"


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the account of the database server can reach, also where the tests run as root."""
    made = Path(tempfile.mkdtemp(prefix="telltale-desk-"))
    made.chmod(0o711)
    yield made
    assert_all_gone(made)
    shutil.rmtree(made)


@pytest.fixture
def variables(data: Path) -> dict[str, str]:
    return {
        "TELLTALE_DATA": str(data),
        "TELLTALE_PORT": str(free_port()),
        "TELLTALE_SMTP_LISTEN": f"127.0.0.1:{free_port()}",
    }


class Answer(NamedTuple):
    headers: http.client.HTTPMessage
    text: str


def get(url: str, cookie: str = "") -> Answer:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path or "/", headers={"Cookie": cookie})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return Answer(response.headers, text)


def database_of(data: Path) -> psycopg.Connection:
    from telltale.postgres import Cluster

    return psycopg.connect(Cluster(data / "postgres", log=data / "log").dsn(), autocommit=True)


def postmaster_of(data: Path) -> int:
    return int((data / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def assert_all_gone(data: Path) -> None:
    """No process of the desk is left. The last of a killed one's may take a moment, and are not ours to wait for."""
    deadline = time.monotonic() + 10
    while left := processes_that_name(data):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_a_desk_opens_survives_what_is_killed_and_stops_with_ctrl_c(data: Path, variables: dict[str, str]):
    with running("run", **variables) as desk:
        desk.read_until(OPEN)
        url = f"http://127.0.0.1:{variables['TELLTALE_PORT']}/"
        assert get(url).headers["Location"] == "/welcome/"
        assert stat.S_IMODE((data / "secret_key").stat().st_mode) == 0o600
        second = telltale("run", **variables)
        assert second.returncode == 2
        assert f"The desk in {data} runs already, as process {desk.process.pid}." in second.stderr
        manage = telltale("manage", "shell", "--no-imports", "-c", _COUNT_AGENTS, **variables)
        assert (manage.stdout, manage.stderr) == ("0 agents\n", "")
        with database_of(data) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 'still here' AS word")
        desk.signal(signal.SIGKILL)
        desk.ended()

    with running("run", **variables) as desk:  # at once: what the killed one left is still on its way out
        desk.read_until(OPEN)
        with database_of(data) as connection:
            assert connection.execute("SELECT word FROM kept").fetchone() == ("still here",)
        os.kill(postmaster_of(data), signal.SIGKILL)
        desk.read_until("PostgreSQL ended")
        desk.signal(signal.SIGINT)
        desk.read_until("Once more hurries")
        desk.signal(signal.SIGINT)
        assert desk.ended() == 0

    assert "Traceback" not in desk.output
    assert_all_gone(data)


def test_the_demo_starts_over_when_told_to_and_prints_a_link_that_signs_in(
    data: Path, variables: dict[str, str]
):
    old = data / "files" / "old"
    old.parent.mkdir()
    for file in (old, data / "demo", data / "secret_key"):
        file.write_text("of an earlier demo")
    del variables["TELLTALE_SMTP_LISTEN"]

    with running("demo", "--reset", **variables) as desk:
        desk.read_until(OPEN)
        link = re.search(r"http://\S+/sign-in/\S+", desk.output)
        assert link
        signed_in = get(link[0])
        assert signed_in.headers["Location"] == "/"
        assert "/sandbox/" in desk.output
        assert not old.exists()
        with database_of(data) as connection:
            row = connection.execute("SELECT count(*) > 3 FROM conversations_conversation").fetchone()
            assert row == (True,)
        url = f"http://127.0.0.1:{variables['TELLTALE_PORT']}"
        cookie = "; ".join(cookie.partition(";")[0] for cookie in signed_in.headers.get_all("Set-Cookie", ()))
        assert_static_files_are_kept(url, cookie)
        with open_stream(url, cookie) as stream:
            desk.signal(signal.SIGINT)
            assert desk.ended() == 0
            stream.read()  # raises IncompleteRead where the stream was cut instead of ended

    assert_all_gone(data)
    for log in ("web", "deliver", "receive", "sandbox", "prepare"):
        said = (data / "logs" / f"{log}.log").read_text()
        assert not re.search("Warning|Traceback|ERROR", said), said


def assert_static_files_are_kept(url: str, cookie: str) -> None:
    """Every file that the inbox asks for may be kept by the browser for ever."""
    paths = set(re.findall(r'"(/static/[^"]+)"', get(f"{url}/inbox/open/", cookie).text))
    assert len(paths) > 3
    for path in paths:
        assert "immutable" in get(url + path).headers["Cache-Control"], path


@contextmanager
def open_stream(url: str, cookie: str) -> Iterator[http.client.HTTPResponse]:
    """A live stream whose first event has come."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("GET", "/stream?topic=inbox", headers={"Cookie": cookie})
        with connection.getresponse() as response:
            while response.readline() != b"event: resync\n":
                pass
            yield response


def test_ctrl_c_ends_a_preparation_that_takes_long(
    data: Path, variables: dict[str, str], waiting_database: psycopg.Connection
):
    url = settings.ENVIRONMENT.database_url

    with running("run", DATABASE_URL=url, **variables) as desk:
        wait_for_a_migration_that_waits(waiting_database)
        desk.signal(signal.SIGINT)
        assert desk.ended() == 0

    assert desk.output == "\nStopping. Once more hurries.\n"
    assert_all_gone(data)


@pytest.fixture
def waiting_database(django_db_modify_db_settings: None) -> Iterator[psycopg.Connection]:
    """A database where another desk is at its migrations, so that ours has to wait."""
    with psycopg.connect(settings.ENVIRONMENT.database_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        yield connection


def wait_for_a_migration_that_waits(connection: psycopg.Connection) -> None:
    deadline = time.monotonic() + 30
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while connection.execute(waiting).fetchone() == (0,):
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)
