"""From the last octet of a 550 to the note at a browser: p50 and p99.

    python bench/refusal_to_note.py [--replies 500] [--streams 100]

Starts a whole desk on this machine as `telltale run` would: PostgreSQL with fsync, web, deliver, and the sandbox's mail
servers. For each reply, the clock starts right before the sandbox writes its 550, and stops when a
client of the live stream has fetched the fragment with the note: what a browser does before it draws. Then the same
with other streams open beside it. As a peer in the same run: how long the same database needs for one commit
followed by NOTIFY and its arrival, the least that any desk of this kind could take.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from telltale.postgres import Cluster

PATIENCE = 60  # seconds
SECRET_KEY = uuid.uuid4().hex * 2


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        desk = stack.enter_context(running_desk())
        client = Client(desk)
        client.sign_in()
        floor = notify_floor(desk.dsn, options.replies)
        show("commit + NOTIFY alone", floor, floor)
        show("refusal to note, idle desk", client.measure(options.replies), floor)
        with open_streams(client, options.streams):
            show(f"refusal to note, {options.streams} open streams", client.measure(options.replies), floor)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replies", type=int, default=500)
    parser.add_argument("--streams", type=int, default=100)
    return parser.parse_args()


def show(name: str, milliseconds: list[float], floor: list[float]) -> None:
    p50, p99 = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=100)[98]
    ratio = p50 / statistics.median(floor)
    print(
        f"{name:38} n={len(milliseconds):<5} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   {ratio:5.1f} x floor",
        flush=True,
    )


class Desk:
    """Where the pieces of the running desk are."""

    def __init__(self, *, dsn: str, port: int, link: str, log: Path) -> None:
        self.dsn = dsn
        self.port = port
        self.link = link
        self.log = log


@contextmanager
def running_desk(*more_parts: str, **more_variables: str) -> Iterator[Desk]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telltale-bench-")))
        folder.chmod(0o711)
        cluster = Cluster(folder / "postgres", log=folder / "postgres.log")
        cluster.start()
        stack.callback(cluster.stop)
        log = folder / "sandbox.jsonl"
        log.touch()
        sandbox = start(
            [
                sys.executable,
                "-m",
                "telltale.sandbox",
                "--dns-port=0",
                "--smtp-port-base=0",
                "--desk-port=1",
                f"--log={log}",
            ],
            os.environ,
            stack,
            stdout=subprocess.PIPE,
        )
        assert sandbox.stdout
        ports = json.loads(sandbox.stdout.readline())
        port = free_port()
        variables = os.environ | {
            "DATABASE_URL": cluster.dsn(),
            "SECRET_KEY": SECRET_KEY,
            "TELLTALE_DATA": str(folder / "data"),
            "TELLTALE_SANDBOX": "on",
            "TELLTALE_DNS": f"127.0.0.1:{ports['dns_port']}",
            "TELLTALE_PORT": str(port),
            "TELLTALE_UNDO_SEND": "0s",
            "TELLTALE_LOG_LEVEL": "WARNING",
            **more_variables,
        }
        (folder / "data").mkdir()
        prepared = subprocess.run(
            [sys.executable, "-m", "telltale.cli.prepare", "--demo"],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        )
        for part in ("web", "deliver", *more_parts):
            start([sys.executable, "-m", "telltale", part], variables, stack)
        wait_for(port)
        yield Desk(dsn=cluster.dsn(), port=port, link=prepared.stdout.strip(), log=log)


def start(
    command: list[str], variables: object, stack: ExitStack, **options: object
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, env=variables, stdin=subprocess.PIPE, **options)  # type: ignore[call-overload]
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


class Client:
    """A browser as far as it matters here: a session, a stream, and the fragment behind each event."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._cookies: dict[str, str] = {}
        self._connection = http.client.HTTPConnection("127.0.0.1", desk.port, timeout=PATIENCE)

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}

    def sign_in(self) -> None:
        self.ask("GET", self.desk.link)

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        headers = self.headers
        body = None
        if form is not None:
            body = urlencode(form | {"csrfmiddlewaretoken": self._cookies["telltale_csrf"]})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        text = response.read().decode()
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return response.status, response.headers.get("Location", ""), text

    def begin_conversation(self) -> int:
        _, _, page = self.ask("GET", "/conversations/new")
        mailbox = re.search(r'<option value="(\d+)"', page)
        assert mailbox
        form = {"mailbox": mailbox[1], "subject": "Bench", "to": "anna@postfix.sandbox.test", "body": "x"}
        status, location, text = self.ask("POST", "/conversations/new", form | {"key": str(uuid.uuid4())})
        assert status == 302, text
        return int(location.strip("/").split("/")[-1])

    def measure(self, replies: int) -> list[float]:
        """Milliseconds from each refusal to its note, one reply after the other."""
        conversation = self.begin_conversation()
        stream = Stream(self, [f"conversation-{conversation}"])
        refusals = Refusals(self.desk.log)
        taken = []
        for number in range(replies + 20):
            address = f"no-such-user+{uuid.uuid4().hex[:10]}@google.sandbox.test"
            form = {"to": address, "body": "Is it this one?", "key": str(uuid.uuid4())}
            status, _, text = self.ask("POST", f"/conversations/{conversation}/replies", form)
            assert status == 302, text
            seen = self._await_note(stream, conversation, address)
            if number >= 20:  # the first ones warm the session, the caches and the pool up
                taken.append((seen - refusals.of(address)) / 1e6)
            if number % 25 == 24:  # a conversation of hundreds of notes is no longer a usual one
                stream.close()
                conversation = self.begin_conversation()
                stream = Stream(self, [f"conversation-{conversation}"])
        stream.close()
        return taken

    def _await_note(self, stream: Stream, conversation: int, address: str) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            version = stream.next_version()
            _, _, fragment = self.ask("GET", f"/conversations/{conversation}/changes?since={version - 1}")
            now = time.time_ns()
            if f"did not reach <b>{address}</b>" in fragment:
                return now
        raise TimeoutError(f"no note for {address}")


class Stream:
    """One open stream; `next_version` waits for the next event."""

    def __init__(self, client: Client, topics: list[str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", client.desk.port, timeout=PATIENCE)
        query = urlencode([("topic", topic) for topic in topics])
        self._connection.request("GET", f"/stream?{query}", headers=client.headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        while self.line() != "event: resync":
            pass

    def line(self) -> str | None:
        """The next line; None where the stream has ended."""
        octets = self._response.readline()
        return octets.decode().rstrip("\n") if octets else None

    def next_version(self) -> int:
        while True:
            line = self.line() or ""
            if line.startswith("data: {") and "version" in line:
                return int(json.loads(line.removeprefix("data: "))["version"])

    def close(self) -> None:
        self._connection.close()

    def cut(self) -> None:
        """End it from another thread, while a reader waits."""
        self._connection.sock.shutdown(socket.SHUT_RDWR)


class Refusals:
    """When the sandbox wrote each refusal, out of its log."""

    def __init__(self, log: Path) -> None:
        self._log = log.open()
        self._at: dict[str, int] = {}

    def of(self, address: str) -> int:
        deadline = time.monotonic() + PATIENCE
        while address not in self._at:
            line = self._log.readline()
            if line:
                event = json.loads(line)
                if event["kind"] == "refused":
                    self._at.setdefault(event["recipient"], event["time_ns"])
            elif time.monotonic() > deadline:
                raise TimeoutError(f"the sandbox never refused {address}")
        return self._at[address]


@contextmanager
def open_streams(client: Client, count: int) -> Iterator[None]:
    """Other browsers that look at other conversations, and read what they are sent."""
    streams = [Stream(client, ["inbox", f"conversation-{10_000 + number}"]) for number in range(count)]
    readers = [threading.Thread(target=_drain, args=(stream,), daemon=True) for stream in streams]
    for reader in readers:
        reader.start()
    yield
    for stream in streams:
        stream.cut()


def _drain(stream: Stream) -> None:
    try:
        while stream.line() is not None:
            pass
    except (OSError, ValueError):
        return  # closed by us


def notify_floor(dsn: str, times: int) -> list[float]:
    """Milliseconds from the beginning of a one-row commit with NOTIFY to its arrival at a listener."""
    return asyncio.run(_notify_floor(dsn, times))


async def _notify_floor(dsn: str, times: int) -> list[float]:
    taken = []
    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as listener,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as writer,
    ):
        await listener.execute("LISTEN bench")
        await writer.execute("CREATE UNLOGGED TABLE IF NOT EXISTS bench_floor (n int)")
        await writer.execute("ALTER TABLE bench_floor SET LOGGED")
        for number in range(times):
            began = time.perf_counter_ns()
            async with writer.transaction():
                await writer.execute("INSERT INTO bench_floor VALUES (%s)", [number])
                await writer.execute("NOTIFY bench")
            async for _ in listener.notifies(stop_after=1, timeout=PATIENCE):
                break
            taken.append((time.perf_counter_ns() - began) / 1e6)
        await writer.execute("DROP TABLE bench_floor")
    return taken


if __name__ == "__main__":
    main()
