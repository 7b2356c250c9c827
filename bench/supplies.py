"""What the benchmarks of the queue share: a database of their own with fsync, replies in it, processes around it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from telltale.postgres import Cluster

if TYPE_CHECKING:
    from telltale.conversations.models import Mailbox

PATIENCE = 60.0  # seconds until a process that was started answers
AT_A_TIME = 1000  # rows of one INSERT


@contextmanager
def database() -> Iterator[Path]:
    """An empty desk, and Django set up on it in this process. Yields the folder that is deleted behind it."""
    with tempfile.TemporaryDirectory(prefix="telltale-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        cluster = Cluster(folder / "postgres", log=folder / "postgres.log")
        cluster.start()
        try:
            (folder / "data").mkdir()
            os.environ |= {
                "DATABASE_URL": cluster.dsn(),
                "SECRET_KEY": uuid.uuid4().hex * 2,
                "TELLTALE_DATA": str(folder / "data"),
                "TELLTALE_HELO": "desk.lamp.example",
                "TELLTALE_LOG_LEVEL": "WARNING",
                "TELLTALE_UNDO_SEND": "0s",
                "DJANGO_SETTINGS_MODULE": "telltale.config.settings",
            }
            _set_up()
            yield folder
        finally:
            _hang_up()
            cluster.stop()


def _set_up() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _hang_up() -> None:
    from django.db import connections

    connections.close_all()


def relay_mailbox(address: str, port: int) -> Mailbox:
    """A mailbox whose mail leaves through a server on this machine."""
    from telltale.conversations.actions import create_mailbox

    return create_mailbox(
        name="Lamp & Co",
        address=address,
        way="relay",
        relay={"host": "127.0.0.1", "port": port, "security": "none"},
    )


def queue_replies(mailbox: Mailbox, addresses: Sequence[str], *, content: bytes) -> None:
    """One reply of its own to each address, as Send leaves it: committed, queued, due."""
    for start in range(0, len(addresses), AT_A_TIME):
        _queue(mailbox, addresses[start : start + AT_A_TIME], content)


def _queue(mailbox: Mailbox, addresses: Sequence[str], content: bytes) -> None:
    from django.core.files.base import ContentFile
    from django.db import transaction

    from telltale.accounts.models import Agent
    from telltale.conversations.models import Contact, Conversation, Part
    from telltale.delivery.destinations import destination_of
    from telltale.delivery.models import Delivery, OutgoingMessage

    agent, _ = Agent.objects.get_or_create(email="maya@lamp.example", defaults={"name": "Maya"})
    contact, _ = Contact.objects.get_or_create(name="Ana")
    with transaction.atomic():
        conversations = Conversation.objects.bulk_create(
            Conversation(mailbox=mailbox, contact=contact, subject="Refund") for _ in addresses
        )
        parts = Part.objects.bulk_create(
            Part(
                conversation=conversation,
                kind=Part.Kind.REPLY,
                agent=agent,
                body="Soon.",
                first_version=1,
                version=1,
            )
            for conversation in conversations
        )
        messages = []
        for part in parts:
            message = OutgoingMessage(
                part=part, message_id=f"<{uuid.uuid4()}@lamp.example>", size=len(content)
            )
            message.content.save("message.eml", ContentFile(content), save=False)
            messages.append(message)
        OutgoingMessage.objects.bulk_create(messages)
        Delivery.objects.bulk_create(
            Delivery(
                message=message,
                mailbox=mailbox,
                recipient=address,
                domain=address.rpartition("@")[2],
                destination=destination_of(mailbox, address.rpartition("@")[2]),
            )
            for message, address in zip(messages, addresses, strict=True)
        )


@contextmanager
def workers(count: int) -> Iterator[None]:
    """So many delivery processes on the database."""
    with ExitStack() as stack:
        for _ in range(count):
            start([sys.executable, "-m", "telltale.delivery.worker"], stack)
        yield


def start(command: Sequence[str], stack: ExitStack) -> subprocess.Popen[bytes]:
    """A process that ends with the stack."""
    process = subprocess.Popen(command)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
