"""The delivery process for real: a process of its own, a mail server on a socket, SIGKILL at the worst moments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dkim
import pytest
from django.db import connection
from django.utils import timezone

from telltale.bounce import Party, explain
from telltale.conversations import dkim_keys
from telltale.conversations.fields import Unreadable
from telltale.conversations.models import DkimKey, Relay
from telltale.delivery import incidents, queue
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Incident
from telltale.delivery.states import State
from tests.conftest import leave_by_relay
from tests.relay_server import PATIENCE, RelayServer, relay_server

pytestmark = pytest.mark.django_db(transaction=True)
RECORDS: dict[str, str] = {}  # of DNS


@pytest.fixture
def relay(mailbox) -> Iterator[RelayServer]:
    with relay_server() as server:
        leave_by_relay("127.0.0.1", server.port)
        yield server


@contextmanager
def worker(*, lease: str = "1s") -> Iterator[subprocess.Popen[bytes]]:
    """The process `deliver` on the database of this test."""
    database = connection.settings_dict
    url = f"postgresql:///{database['NAME']}?host={database['HOST']}&port={database['PORT']}&user={database['USER']}"
    variables = os.environ | {"DATABASE_URL": url, "TELLTALE_LEASE": lease}
    process = subprocess.Popen([sys.executable, "-m", "telltale.delivery.worker"], env=variables)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) in (0, -signal.SIGKILL)


def wait_until(holds: Callable[[], bool]) -> None:
    """Until what another process does is to be seen in the database."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def state_of(delivery: Delivery) -> str:
    return Delivery.objects.get(pk=delivery.pk).state


def test_a_reply_goes_out_and_its_answer_comes_back(reply, relay):
    [delivery] = reply("ana@oldworks.example")

    with worker():
        wait_until(lambda: state_of(delivery) == State.ACCEPTED)

    attempt = Attempt.objects.get()
    assert attempt.reply == "250 2.0.0 Ok: queued as 4Zk9"
    assert attempt.queue_id == "4Zk9"
    assert len(relay.messages) == 1


def test_a_reply_leaves_signed_once_for_all_its_recipients(reply, relay):
    for key in dkim_keys.make_keys("lamp.example"):
        RECORDS[f"{key.name}."] = key.record
    dkim_keys.start_signing("lamp.example")
    deliveries = reply("ana@oldworks.example", "finance@ribeiro.example")

    with worker():
        wait_until(lambda: {state_of(delivery) for delivery in deliveries} == {State.ACCEPTED})

    first, second = relay.messages
    assert first == second  # signed anew, the time of the signature could be another
    for number in (0, 1):
        assert dkim.DKIM(first).verify(
            idx=number, dnsfunc=lambda name, timeout: RECORDS[name.decode()].encode()
        )


@pytest.mark.parametrize("secret", ["the key that signs", "the password of the relay"])
def test_a_secret_that_cannot_be_read_is_our_own_fault_and_the_agent_learns_of_it(reply, relay, secret):
    if secret == "the key that signs":
        dkim_keys.make_keys("lamp.example")
        dkim_keys.start_signing("lamp.example")
        DkimKey.objects.update(private_key=Unreadable("of another SECRET_KEY"))
    else:
        Relay.objects.update(
            sign_in="password", security="tls", username="maya", password=Unreadable("of another SECRET_KEY")
        )
    [delivery] = reply("ana@oldworks.example")

    with worker():
        wait_until(lambda: state_of(delivery) == State.DELAYED)

    assert relay.messages == []  # neither unsigned nor without a login
    note = DeliveryNote.objects.get()
    assert "encrypted under another SECRET_KEY" in note.report.diagnostic_text
    assert explain(note.report.as_recipient_report()).party == Party.US


def test_a_worker_hears_of_a_reply_that_is_sent_while_it_sleeps(reply, relay):
    with worker():
        [first] = reply("ana@oldworks.example")
        wait_until(lambda: state_of(first) == State.ACCEPTED)
        [second] = reply("finance@ribeiro.example")
        wait_until(lambda: state_of(second) == State.ACCEPTED)

    assert len(relay.messages) == 2


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
def test_killed_between_claim_and_content_nothing_is_lost_or_sent_twice(reply, relay, command):
    [delivery] = reply("ana@oldworks.example")
    relay.hold_at = command
    with worker() as first:
        assert relay.reached.wait(PATIENCE)
        first.kill()
        first.wait()
    relay.hold_at = ""
    relay.go_on.set()

    with worker():
        wait_until(lambda: state_of(delivery) == State.ACCEPTED)

    assert len(relay.messages) == 1
    assert not DeliveryNote.objects.exists()
    assert [attempt.outcome for attempt in Attempt.objects.all()] == ["lost", "accepted"]


def test_killed_behind_the_final_dot_the_note_says_uncertain_and_nothing_is_sent_again(reply, relay):
    [delivery] = reply("ana@oldworks.example")
    relay.hold_at = "DOT"
    with worker() as first:
        assert relay.reached.wait(PATIENCE)
        first.kill()
        first.wait()
    relay.hold_at = ""
    relay.go_on.set()

    with worker():
        wait_until(lambda: state_of(delivery) == State.UNCERTAIN)

    assert len(relay.messages) == 1
    note = DeliveryNote.objects.get()
    assert (note.kind, note.closed_at) == (DeliveryNote.Kind.UNCERTAIN, None)
    assert "may or may not have arrived" in note.report.diagnostic_text


def test_sigterm_ends_a_worker_when_its_answer_is_recorded(reply, relay):
    [delivery] = reply("ana@oldworks.example")
    relay.hold_at = "DOT"
    with worker() as process:
        assert relay.reached.wait(PATIENCE)
        process.send_signal(signal.SIGTERM)
        relay.go_on.set()
        assert process.wait(PATIENCE) == 0

    assert state_of(delivery) == State.ACCEPTED


def test_a_lease_of_a_living_worker_is_extended(reply, relay):
    [delivery] = reply("ana@oldworks.example")
    relay.hold_at = "RCPT"
    with worker():
        assert relay.reached.wait(PATIENCE)
        lease = Delivery.objects.get().lease_until
        wait_until(lambda: Delivery.objects.get().lease_until > lease)
        assert queue.rescue_lost() == 0
        relay.go_on.set()
        wait_until(lambda: state_of(delivery) == State.ACCEPTED)


@pytest.fixture
def blocked(reply, relay) -> list[Delivery]:
    """What an incident stops: the fifth reply that a relay refused for one cause, and two that were written later."""
    relay.answers["MAIL"] = "550 5.7.1 Service unavailable, client host [192.0.2.1] blocked using Spamhaus"
    reply(*(f"person{number}@works.example" for number in range(incidents.AT_LEAST)))
    with worker():
        wait_until(lambda: Incident.objects.exists())
        wait_until(lambda: not Delivery.objects.exclude(state__in=[State.FAILED, State.HELD]).exists())
    relay.heard.clear()
    return [Delivery.objects.get(state=State.HELD), *reply("next@works.example", "another@works.example")]


def states_of(deliveries: list[Delivery]) -> set[str]:
    return {state_of(delivery) for delivery in deliveries}


def test_amid_an_incident_the_host_is_left_alone_and_one_that_gets_through_lets_the_others_go(blocked, relay):
    with worker():
        wait_until(lambda: states_of(blocked) == {State.HELD})
        assert relay.heard == []  # not one word went to it

        del relay.answers["MAIL"]
        Incident.objects.update(probe_at=timezone.now())
        wait_until(lambda: states_of(blocked) == {State.ACCEPTED})

    assert Incident.objects.get().closed_how == Incident.Closed.RECOVERED
    assert len(relay.messages) == len(blocked)


def test_a_probe_that_is_refused_leaves_the_others_where_they_are(blocked, relay):
    with worker():
        wait_until(lambda: states_of(blocked) == {State.HELD})
        Incident.objects.update(probe_at=timezone.now())
        wait_until(lambda: blocked[0].attempts.count() == 2)
        wait_until(lambda: states_of(blocked) == {State.HELD})

    assert sum(line.startswith("MAIL FROM") for line in relay.heard) == 1
    assert Attempt.objects.filter(delivery__in=blocked[1:]).count() == 0
    assert Incident.objects.get().probe_at > timezone.now()
