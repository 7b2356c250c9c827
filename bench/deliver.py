"""Replies delivered per second, from the committed row to the committed acceptance, beside Postfix on the same machine.

    python bench/deliver.py [--replies 1000] [--rounds 3]

Needs Postfix (Debian: apt-get install postfix) and root, for Postfix keeps its queue as another user. All send the
same mails, one recipient each, into the same `smtp-sink` on loopback:

- one worker, and two, with PostgreSQL and its fsync; each reply is in a conversation of its own, is signed with DKIM
  and leaves an attempt with its transcript, a new version of its conversation and a bell for the pages;
- Postfix with a queue of its own and its fsync, filled before the clock starts; it signs nothing;
- a plain loop over Django's SMTP backend, one connection, nothing kept;
- aiosmtplib alone, twenty connections, nothing kept.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from supplies import database, free_port, queue_replies, relay_mailbox, start, wait_for_port, workers

if TYPE_CHECKING:
    from telltale.conversations.models import Mailbox

PARALLEL = 20  # connections, as the queue has to one destination, and Postfix by default
BODY = "The refund left us this morning and should be with you on Friday.\r\n" * 60  # 4 kB
MESSAGE = (
    "From: Maya, Lamp & Co <support@lamp.example>\r\nTo: ana@works.example\r\nSubject: Re: Refund\r\n"
    "Message-ID: <b4f2@lamp.example>\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    f"Content-Type: text/plain; charset=utf-8\r\n\r\n{BODY}"
).encode()
PATIENCE = 600.0  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replies", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if os.geteuid() != 0 or not shutil.which("smtp-sink"):
        raise SystemExit("This needs Postfix and its smtp-sink (apt-get install postfix), and root.")
    with ExitStack() as stack:
        stack.enter_context(database())
        sink = a_sink(stack)
        postfix = Postfix(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postfix-"))), sink)
        mailbox = relay_mailbox("support@lamp.example", sink)
        sign_with_dkim(mailbox)
        ways: dict[str, Callable[[int], float]] = {
            "one worker": lambda count: with_workers(1, mailbox, count),
            "two workers": lambda count: with_workers(2, mailbox, count),
            "Postfix": postfix.deliver,
            "Django's SMTP backend": lambda count: with_django(sink, count),
            "aiosmtplib alone": lambda count: asyncio.run(with_aiosmtplib(sink, count)),
        }
        show(measure(ways, options.replies, options.rounds))


def measure(ways: dict[str, Callable[[int], float]], count: int, rounds: int) -> dict[str, float]:
    """Mails a second of each way: the median of interleaved rounds."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, deliver in ways.items():
            rates[name].append(count / deliver(count))
    return {name: statistics.median(found) for name, found in rates.items()}


def show(rates: dict[str, float]) -> None:
    for name, rate in rates.items():
        print(f"{name:24} {rate:8.0f} mails/s   {rate / rates['Postfix']:5.2f} x Postfix", flush=True)


def a_sink(stack: ExitStack) -> int:
    """Postfix's own test server: takes everything, keeps nothing."""
    port = free_port()
    start(["smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"], stack)
    wait_for_port(port)
    return port


def sign_with_dkim(mailbox: Mailbox) -> None:
    """Keys for the mailbox's domain, so that each reply is signed as in real life: RSA and Ed25519."""
    from telltale.conversations import dkim_keys

    dkim_keys.make_keys(mailbox.domain)
    dkim_keys.start_signing(mailbox.domain)


def with_workers(processes: int, mailbox: Mailbox, count: int) -> float:
    """Seconds from the bell to the last acceptance; the workers are up and idle before."""
    from django.db import connection, transaction

    from telltale.delivery.models import Delivery
    from telltale.events.bell import QUEUE, ring

    Delivery.objects.all().delete()
    with workers(processes):
        queue_replies(mailbox, ["warm@works.example"] * 1, content=MESSAGE)
        ring(QUEUE)
        _until_accepted(1)
        with transaction.atomic():
            queue_replies(mailbox, [f"p{number}@works.example" for number in range(count)], content=MESSAGE)
            ring(QUEUE)
        connection.close()
        started = time.perf_counter()
        _until_accepted(count + 1)
        return time.perf_counter() - started


def _until_accepted(count: int) -> None:
    from telltale.delivery.models import Delivery

    deadline = time.monotonic() + PATIENCE
    while Delivery.objects.filter(state="accepted").count() < count:
        if time.monotonic() > deadline:
            raise SystemExit("the workers do not get done")
        time.sleep(0.02)


class Postfix:
    """An instance of its own in a folder: takes mail on a loopback port, relays all of it to the sink."""

    def __init__(self, folder: Path, sink: int) -> None:
        folder.chmod(0o755)
        self.config, self.queue, self.port = folder / "etc", folder / "queue", free_port()
        self.config.mkdir()
        self.queue.mkdir()
        (folder / "data").mkdir()
        shutil.chown(folder / "data", "postfix")
        shutil.copy("/etc/postfix/master.cf", self.config / "master.cf")
        (self.config / "main.cf").write_text(
            f"compatibility_level = 3.6\nqueue_directory = {self.queue}\ndata_directory = {folder / 'data'}\n"
            f"relayhost = [127.0.0.1]:{sink}\nmyhostname = desk.lamp.example\nmydestination =\n"
            "inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nsmtp_tls_security_level = none\n"
            "mynetworks = 127.0.0.0/8\nmaillog_file = /dev/null\nmaillog_file_prefixes = /dev\nalias_maps =\n"
            "smtpd_client_connection_count_limit = 0\nsmtpd_client_connection_rate_limit = 0\n"
        )
        self._run("postconf", "-c", str(self.config), "-M#", "smtp/inet")
        service = f"127.0.0.1:{self.port} inet n - n - - smtpd"
        self._run("postconf", "-c", str(self.config), "-Me", f"127.0.0.1:{self.port}/inet={service}")
        self._run("postconf", "-c", str(self.config), "-F", "*/*/chroot=n")

    def deliver(self, count: int) -> float:
        """Seconds from `postqueue -f` until the queue is empty."""
        self._run("postconf", "-c", str(self.config), "-e", "defer_transports=smtp")
        self._run("postfix", "-c", str(self.config), "start")
        try:
            wait_for_port(self.port)
            self._feed(count)
            self._run("postconf", "-c", str(self.config), "-e", "defer_transports=")
            self._run("postfix", "-c", str(self.config), "reload")
            started = time.perf_counter()
            self._run("postqueue", "-c", str(self.config), "-f")
            self._until(lambda: self._waiting("incoming", "active", "deferred") == 0)
            return time.perf_counter() - started
        finally:
            self._run("postfix", "-c", str(self.config), "stop")

    def _feed(self, count: int) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(MESSAGE.replace(b"\r\n", b"\n"))
            file.flush()
            Path(file.name).chmod(0o644)
            self._run(
                *("smtp-source", "-s", str(PARALLEL), "-m", str(count), "-F", file.name),
                *("-f", "support@lamp.example", "-t", "ana@works.example", f"127.0.0.1:{self.port}"),
            )
        self._until(lambda: self._waiting("deferred") == count)

    def _waiting(self, *queues: str) -> int:
        return sum(1 for name in queues for path in (self.queue / name).rglob("*") if path.is_file())

    @staticmethod
    def _until(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise SystemExit("Postfix does not get done")
            time.sleep(0.02)

    @staticmethod
    def _run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr or done.stdout}")


def with_django(sink: int, count: int) -> float:
    from django.core.mail import EmailMessage, get_connection

    connection = get_connection(
        "django.core.mail.backends.smtp.EmailBackend", host="127.0.0.1", port=sink, username="", password=""
    )
    mails = [
        EmailMessage("Re: Refund", BODY, "support@lamp.example", ["ana@works.example"]) for _ in range(count)
    ]
    started = time.perf_counter()
    connection.open()
    connection.send_messages(mails)
    connection.close()
    return time.perf_counter() - started


async def with_aiosmtplib(sink: int, count: int) -> float:
    import aiosmtplib

    left = iter(range(count))

    async def one_connection() -> None:
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=sink) as client:
            for _ in left:
                await client.sendmail("support@lamp.example", ["ana@works.example"], MESSAGE)

    started = time.perf_counter()
    await asyncio.gather(*(one_connection() for _ in range(PARALLEL)))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
