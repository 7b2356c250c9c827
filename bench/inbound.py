"""What comes in: how many mails a second the SMTP door keeps, and how soon a bounce is a note at a browser.

    python bench/inbound.py [--mails 3000] [--bounces 300] [--storm 100000]

Starts a whole desk on this machine as `telltale run` would: PostgreSQL and files with fsync, web, deliver, receive,
and the sandbox's mail servers.

1. Ordinary mails, then bounces, through the SMTP door on ten connections, until each has its 250: on the disk and
   committed. Peers in the same run: aiosmtpd that throws all away, and aiosmtpd that writes each mail into a file with
   fsync, the least that a door can do that keeps its word.
2. From the 250 of a bounce to the fragment with its note at a client of the live stream. Peer: a commit with NOTIFY.
3. A backscatter storm: bounces to return paths that somebody made up, as fast as they are refused, while an agent's
   replies are timed from their refusal to the note. Peer: the same replies without the storm.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from refusal_to_note import (
    PATIENCE,
    SECRET_KEY,
    Client,
    Desk,
    Stream,
    free_port,
    notify_floor,
    running_desk,
    show,
    wait_for,
)

from telltale.mail.return_path import sign

CONNECTIONS = 10
KEY = hashlib.blake2b(SECRET_KEY.encode(), digest_size=32, person=b"telltale:return").digest()
MAILBOX = "support@lamp.example"
STORM_CONNECTIONS = 4


def main() -> None:
    options = _options()
    port = free_port()
    with running_desk("receive", TELLTALE_SMTP_LISTEN=f"127.0.0.1:{port}") as desk:
        wait_for(port)
        throughput(desk, port, options.mails)
        client = Client(desk)
        client.sign_in()
        latency(desk, client, port, options.bounces)
        storm(client, port, options.storm)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mails", type=int, default=3_000)
    parser.add_argument("--bounces", type=int, default=300)
    parser.add_argument("--storm", type=int, default=100_000)
    return parser.parse_args()


# How many a second


def throughput(desk: Desk, port: int, count: int) -> None:
    letters = [(MAILBOX, letter(number)) for number in range(count)]
    with peer(Nothing()) as nothing:
        rate("aiosmtpd, throws all away", nothing, letters)
    with tempfile.TemporaryDirectory(dir=desk.log.parent) as folder, peer(InFiles(Path(folder))) as files:
        written = rate("aiosmtpd, a file each with fsync", files, letters)
    rate("the door: letters", port, letters, written)
    read_all(desk, "letters")
    reports = [(path, bounce(path)) for path in return_paths(desk, client_replies(desk, count))]
    rate("the door: bounces", port, reports, written)
    read_all(desk, "bounces")


def rate(name: str, port: int, mails: list[tuple[str, bytes]], peer_rate: float = 0) -> float:
    began = time.perf_counter()
    asyncio.run(_send_all(port, mails))
    a_second = len(mails) / (time.perf_counter() - began)
    ratio = f"{a_second / peer_rate:5.2f} x the peer with files" if peer_rate else ""
    print(f"{name:36} {a_second:7.0f} mails/s   {ratio}", flush=True)
    return a_second


async def _send_all(port: int, mails: list[tuple[str, bytes]]) -> None:
    shares = [mails[number::CONNECTIONS] for number in range(CONNECTIONS)]
    await asyncio.gather(*(_send(port, share) for share in shares if share))


async def _send(port: int, mails: list[tuple[str, bytes]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _reply(reader)
    await _command(reader, writer, b"EHLO bench.example")
    for recipient, content in mails:
        assert await _command(reader, writer, b"MAIL FROM:<>") == b"250"
        assert await _command(reader, writer, b"RCPT TO:<%s>" % recipient.encode()) == b"250", recipient
        assert await _command(reader, writer, b"DATA") == b"354"
        assert await _command(reader, writer, content + b".") == b"250"
    writer.close()


async def _command(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    writer.write(line + b"\r\n")
    return await _reply(reader)


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    return line[:3]


class Nothing:
    """aiosmtpd alone."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return "250 2.0.0 Ok"


class InFiles:
    """What a door has to do at least: the mail is on the disk before it is acknowledged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.to_thread(self._write, envelope.original_content or b"")
        return "250 2.0.0 Ok"

    def _write(self, content: bytes) -> None:
        with (self._folder / uuid.uuid4().hex).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def peer(handler: object) -> Iterator[int]:
    port = free_port()
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


def letter(number: int) -> bytes:
    return (
        f"From: Customer {number} <c{number}@oldworks.example>\r\nTo: {MAILBOX}\r\nSubject: Lamp {number}\r\n"
        f"Message-ID: <bench-{number}-{uuid.uuid4()}@oldworks.example>\r\n\r\n" + "A lamp flickers.\r\n" * 40
    ).encode()


def bounce(
    path: str, recipient: str = "somebody@oldworks.example", message_id: str = "<x@lamp.example>"
) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.oldworks.example\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"To: {path}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nI'm sorry to have to inform you.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.oldworks.example\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\n\r\n--b--\r\n"
    ).encode()


def client_replies(desk: Desk, count: int) -> list[int]:
    """Deliveries that were accepted, made in the database: only their bounces count here."""
    with psycopg.connect(desk.dsn, autocommit=True) as database:
        return [row[0] for row in database.execute(_FILL, [count])]


_FILL = """
WITH box AS (SELECT id FROM conversations_mailbox ORDER BY id LIMIT 1),
     agent AS (SELECT id FROM accounts_agent ORDER BY id LIMIT 1),
     talks AS (
        INSERT INTO conversations_conversation
            (subject, state, mailbox_id, contact_id, version, alert, alert_text, peek, created_at, updated_at)
        SELECT 'Bench', 'open', box.id, (SELECT min(id) FROM conversations_contact), 1, '', '', '', now(), now()
        FROM box, generate_series(1, %s) RETURNING id, mailbox_id),
     parts AS (
        INSERT INTO conversations_part (conversation_id, kind, agent_id, from_address, body, message_id, key,
            first_version, version, created_at, is_formatted, folded)
        SELECT talks.id, 'reply', agent.id, 'support@lamp.example', 'x', '', gen_random_uuid(), 1, 1, now(), false, ''
        FROM talks, agent RETURNING id),
     mails AS (
        INSERT INTO delivery_outgoingmessage (part_id, message_id, content, size, created_at)
        SELECT id, '<' || gen_random_uuid() || '@lamp.example>', 'none', 1, now() FROM parts RETURNING id)
INSERT INTO delivery_delivery (message_id, mailbox_id, recipient, domain, destination, role, state, queued_at,
    attempt_count, held_because, overridden, created_at)
SELECT mails.id, box.id, 'somebody@oldworks.example', 'oldworks.example', 'oldworks.example', 'to', 'accepted', now(),
    1, '', false, now() FROM mails, box RETURNING id
"""


def return_paths(desk: Desk, deliveries: list[int]) -> list[str]:
    return [sign(pk, domain="lamp.example", key=KEY, now=datetime.now(UTC)) for pk in deliveries]


def read_all(desk: Desk, what: str) -> None:
    """Until nothing waits to be read."""
    began = time.perf_counter()
    with psycopg.connect(desk.dsn, autocommit=True) as database:
        while database.execute(
            "SELECT 1 FROM conversations_rawmail WHERE fate = 'waiting' LIMIT 1"
        ).fetchone():
            time.sleep(0.02)
    print(
        f"{what} all read, and put where they belong, {time.perf_counter() - began:.1f} s later", flush=True
    )


# How soon a bounce is a note


def latency(desk: Desk, client: Client, port: int, count: int) -> None:
    floor = notify_floor(desk.dsn, count)
    show("commit + NOTIFY alone", floor, floor)
    show("250 to a bounce to its note", bounces_to_notes(desk, client, port, count), floor)


def bounces_to_notes(desk: Desk, client: Client, port: int, count: int) -> list[float]:
    taken = []
    conversation, stream = 0, None
    for number in range(count + 20):
        if number % 25 == 0:
            if stream:
                stream.close()
            conversation = client.begin_conversation()
            stream = Stream(client, [f"conversation-{conversation}"])
        assert stream
        address = f"anna+{uuid.uuid4().hex[:10]}@postfix.sandbox.test"
        form = {"to": address, "body": "Is it this one?", "key": str(uuid.uuid4())}
        client.ask("POST", f"/conversations/{conversation}/replies", form)
        pk, message_id = accepted(desk, address)
        [path] = return_paths(desk, [pk])
        asyncio.run(_send(port, [(path, bounce(path, address, message_id))]))
        began = time.time_ns()
        seen = client._await_note(stream, conversation, address)  # noqa: SLF001  (its other half)
        if number >= 20:
            taken.append((seen - began) / 1e6)
    return taken


def accepted(desk: Desk, address: str) -> tuple[int, str]:
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(desk.dsn, autocommit=True) as database:
        while time.monotonic() < deadline:
            found = database.execute(
                "SELECT d.id, m.message_id FROM delivery_delivery d "
                "JOIN delivery_outgoingmessage m ON m.id = d.message_id "
                "WHERE d.recipient = %s AND d.state = 'accepted'",
                [address],
            ).fetchone()
            if found:
                return int(found[0]), str(found[1])
            time.sleep(0.005)
    raise TimeoutError(f"the reply to {address} was not accepted")


# A storm


def storm(client: Client, port: int, count: int) -> None:
    calm = client.measure(100)
    show("refusal to note, calm", calm, calm)
    refused = Storm(port, count)
    with refused.blowing():
        beside = client.measure(100)
    show("refusal to note, in the storm", beside, calm)
    print(f"{refused.count:,} forged bounces refused at RCPT, {refused.rate:,.0f} a second")
    ratio = statistics.quantiles(beside, n=100)[98] / statistics.quantiles(calm, n=100)[98]
    print(f"the 99th percentile in the storm: {ratio:.2f} x that of the calm")


class Storm:
    """Bounces to return paths with made-up signatures, as many as there shall be."""

    def __init__(self, port: int, count: int) -> None:
        self.count = 0
        self.rate = 0.0
        self._port, self._wanted = port, count

    @contextmanager
    def blowing(self) -> Iterator[None]:
        thread = threading.Thread(target=asyncio.run, args=[self._blow()])
        thread.start()
        yield
        thread.join()

    async def _blow(self) -> None:
        began = time.perf_counter()
        await asyncio.gather(*(self._connection() for _ in range(STORM_CONNECTIONS)))
        self.rate = self.count / (time.perf_counter() - began)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await _reply(reader)
        await _command(reader, writer, b"EHLO storm.example")
        while self.count < self._wanted:
            await _command(reader, writer, b"MAIL FROM:<>")
            forged = f"b-{self.count % 9999}-1x-{uuid.uuid4().hex[:16]}@lamp.example".encode()
            assert await _command(reader, writer, b"RCPT TO:<%s>" % forged) == b"550"
            self.count += 1
            await _command(reader, writer, b"RSET")
        writer.close()


if __name__ == "__main__":
    main()
