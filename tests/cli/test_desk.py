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
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.cli.helpers import free_port, processes_that_name, running, telltale

OPEN = "Ctrl-C stops it."
_COUNT_AGENTS = "from telltale.accounts.models import Agent; print(Agent.objects.count(), 'agents')"


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the account of the database server can reach, also where the tests run as root."""
    made = Path(tempfile.mkdtemp(prefix="telltale-desk-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def variables(data: Path) -> dict[str, str]:
    return {
        "TELLTALE_DATA": str(data),
        "TELLTALE_PORT": str(free_port()),
        "TELLTALE_SMTP_LISTEN": f"127.0.0.1:{free_port()}",
    }


def get(url: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", parts.path or "/")
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


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
        assert get(url).getheader("Location") == "/welcome/"
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
        assert get(link[0]).getheader("Location") == "/"
        assert "/sandbox/" in desk.output
        assert not old.exists()
        with database_of(data) as connection:
            row = connection.execute("SELECT count(*) > 3 FROM conversations_conversation").fetchone()
            assert row == (True,)
        desk.signal(signal.SIGINT)
        desk.read_until("Once more hurries")
        desk.signal(signal.SIGINT)
        assert desk.ended() == 0

    assert_all_gone(data)
