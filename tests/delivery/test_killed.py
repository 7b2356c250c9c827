"""SIGKILL wherever it hurts: every reply ends in a true state, and none is sent twice unsaid.

A dead worker's lease is long here and is ended by the test, so that no other worker of the test takes the delivery.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from telltale.bounce import Party, explain
from telltale.delivery.models import Attempt, Delivery, DeliveryNote
from telltale.delivery.states import State
from telltale.events.bell import QUEUE as QUEUE_BELL
from telltale.events.bell import ring
from tests.conftest import leave_by_relay
from tests.delivery.test_worker import wait_until, worker
from tests.plugin import cluster, has_own_database
from tests.relay_server import PATIENCE, RelayServer, relay_server

pytestmark = pytest.mark.django_db(transaction=True)

WORKER, CLAIMS, QUEUE = "telltale.delivery.worker", "telltale.delivery.claims", "telltale.delivery.queue"
ACCEPTANCES, CHANNEL = "telltale.delivery.acceptances", "telltale.channels.email"

# Where the server is when the worker dies.
BEFORE_THE_CONTENT_AT_THE_SERVER = ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA"]
AMID_THE_CONTENT_AT_THE_SERVER = ["HALF", "DOT"]

# Where the worker is.
BEFORE_THE_CONTENT = [
    (WORKER, "claim", "before"),
    (CLAIMS, "ready_lanes", "after"),
    (CLAIMS, "_take", "before"),
    (CLAIMS, "rearm", "before"),  # inside of the transaction, everything claimed
    (WORKER, "claim", "after"),
    (WORKER, "_read_and_sign", "before"),
    (WORKER, "_read_and_sign", "after"),
    (CHANNEL, "relay_route", "before"),
    (CHANNEL, "relay_route", "after"),
    (QUEUE, "mark_content_started", "before"),
]
AFTER_THE_CONTENT_MAY_HAVE_GONE = [
    (QUEUE, "mark_content_started", "after"),
    (WORKER, "record_acceptances", "before"),
    (ACCEPTANCES, "_settle", "before"),
    (ACCEPTANCES, "_settle", "after"),  # all is written, nothing is committed
]
AFTER_THE_RECORD = [(WORKER, "record_acceptances", "after")]
AROUND_A_REFUSAL = [
    (QUEUE, "record_result", "before"),
    (QUEUE, "keep_report", "after"),
    (QUEUE, "write_note", "after"),
    (QUEUE, "record_result", "after"),
]


@pytest.fixture
def relay(mailbox) -> Iterator[RelayServer]:
    with relay_server() as server:
        leave_by_relay("127.0.0.1", server.port)
        yield server


def start(*command: str) -> subprocess.Popen[bytes]:
    database = connection.settings_dict
    url = f"postgresql:///{database['NAME']}?host={database['HOST']}&port={database['PORT']}&user={database['USER']}"
    variables = os.environ | {"DATABASE_URL": url, "TELLTALE_LEASE": "60s", "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen([sys.executable, "-m", *command], env=variables)


def die_at(module: str, name: str, when: str) -> None:
    """Run a worker until it has killed itself there."""
    process = start("tests.delivery.dying_worker", module, name, when)
    assert process.wait(PATIENCE) == -signal.SIGKILL, f"it never came to {name}"


def kill_at(relay: RelayServer, step: str) -> None:
    """Run a worker until the server has come to this step, then kill it."""
    relay.hold(step)
    process = start("telltale.delivery.worker")
    assert relay.reached.wait(PATIENCE), f"it never came to {step}"
    process.kill()
    process.wait()
    relay.hold("")


def settle() -> None:
    """Another worker does what is left to do."""
    Delivery.objects.filter(state=State.SENDING).update(lease_until=timezone.now())
    left = Delivery.objects.filter(state__in=[State.QUEUED, State.SENDING])
    if left.exists():
        with worker():
            wait_until(lambda: not left.all().exists())


def outcome(delivery: Delivery, relay: RelayServer) -> tuple[str, int, list[str]]:
    """Its state, how often the server has got the whole mail, and what the agent is told."""
    delivery.refresh_from_db()
    copies = sum(delivery.recipient.encode() in message for message in relay.messages)
    notes = DeliveryNote.objects.filter(delivery=delivery, closed_at=None)
    return delivery.state, copies, [note.kind for note in notes]


def test_killed_before_the_content_goes_out_each_reply_is_sent_once(reply, relay):
    outcomes = {}
    for step in BEFORE_THE_CONTENT_AT_THE_SERVER:
        outcomes[step] = reply(f"{step.lower()}@works.example")[0]
        kill_at(relay, step)
        settle()
    for number, place in enumerate(BEFORE_THE_CONTENT):
        outcomes[place] = reply(f"place{number}@works.example")[0]
        die_at(*place)
        settle()

    assert {place: outcome(delivery, relay) for place, delivery in outcomes.items()} == {
        place: (State.ACCEPTED, 1, []) for place in outcomes
    }


def test_killed_once_the_content_may_be_out_each_reply_is_uncertain_and_never_sent_again(reply, relay):
    outcomes = {}
    for step in AMID_THE_CONTENT_AT_THE_SERVER:
        outcomes[step] = reply(f"{step.lower()}@works.example")[0]
        kill_at(relay, step)
    for number, place in enumerate(AFTER_THE_CONTENT_MAY_HAVE_GONE):
        outcomes[place] = reply(f"place{number}@works.example")[0]
        die_at(*place)
    settle()

    ended = {place: outcome(delivery, relay) for place, delivery in outcomes.items()}
    assert {place: (state, told) for place, (state, _, told) in ended.items()} == {
        place: (State.UNCERTAIN, ["uncertain"]) for place in outcomes
    }
    copies = {place: copies for place, (_, copies, _) in ended.items()}
    assert copies.pop((QUEUE, "mark_content_started", "after")) == 0
    assert copies.pop("HALF") in (0, 1)  # the other half may be in the kernel's hands, which sends it
    assert set(copies.values()) == {1}


def test_killed_behind_the_record_nothing_is_left_to_do(reply, relay):
    [delivery] = reply("ana@works.example")
    die_at(*AFTER_THE_RECORD[0])

    settle()

    assert outcome(delivery, relay) == (State.ACCEPTED, 1, [])
    assert Attempt.objects.count() == 1


def test_killed_around_a_refusal_the_agent_learns_of_it_once(reply, relay):
    relay.answers["RCPT"] = "550 5.1.1 No such user"
    outcomes = {}
    for number, place in enumerate(AROUND_A_REFUSAL):
        outcomes[place] = reply(f"place{number}@works.example")[0]
        die_at(*place)
        settle()

    assert {place: outcome(delivery, relay) for place, delivery in outcomes.items()} == {
        place: (State.FAILED, 0, ["failed"]) for place in outcomes
    }


@pytest.mark.skipif(not has_own_database, reason="DATABASE_URL names a database that others may use")
@pytest.mark.parametrize("how", ["fast", "immediate"])
@pytest.mark.parametrize("step", ["RCPT", "DOT"])
def test_postgresql_restarts_while_a_delivery_is_on_its_way(reply, relay, step, how):
    [delivery] = reply("ana@works.example")
    relay.hold(step)
    with worker(lease="60s"):
        assert relay.reached.wait(PATIENCE)

        connection.close()
        connection.close_pool()
        if how == "immediate":
            cluster.hurry()
        cluster.stop()
        relay.hold("")  # the server answers, and nobody can write it down
        cluster.start()

        wait_until(lambda: outcome(delivery, relay)[0] == State.ACCEPTED)
    assert outcome(delivery, relay) == (State.ACCEPTED, 1, [])


def test_a_message_that_cannot_be_read_is_our_own_fault_and_is_tried_again(reply, relay):
    """The disk with the messages is not there, or not readable: the agent learns it, and it mends itself."""
    [delivery] = reply("ana@works.example")
    stored = Path(delivery.message.content.path)
    away = stored.rename(stored.with_suffix(".away"))

    with worker():
        wait_until(lambda: outcome(delivery, relay)[0] == State.DELAYED)
        note = DeliveryNote.objects.get()
        assert explain(note.report.as_recipient_report()).party == Party.US
        assert "FileNotFoundError" in note.report.diagnostic_text
        assert relay.messages == []

        away.rename(stored)
        Delivery.objects.update(next_attempt_at=timezone.now())
        ring(QUEUE_BELL)
        wait_until(lambda: outcome(delivery, relay) == (State.ACCEPTED, 1, []))
