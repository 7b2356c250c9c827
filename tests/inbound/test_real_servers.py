"""Real mail servers relay our replies, the next one refuses them or puts them off, and they tell us.

Each report becomes the right note on the right recipient.

Each way back is a real one: by SMTP to the desk as the mail server of its domain, by LMTP behind another, and by IMAP
from an account at Dovecot.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from telltale.conversations.models import Conversation, ImapAccount, RawMail
from telltale.delivery.models import Delivery, DeliveryNote
from telltale.delivery.states import State
from telltale.inbound.fetching import Fetchers
from tests.conftest import leave_by_relay
from tests.delivery.test_queue import answer
from tests.delivery.test_worker import PATIENCE, wait_until, worker
from tests.inbound import dovecot
from tests.inbound.mails import way_back
from tests.inbound.open_door import OpenDoor, open_door
from tests.inbound.test_fetching import authority, has_begun, new_account, read_all
from tests.smtp.certificates import Workshop
from tests.smtp.peers import Peer, peer, why_not

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "127.0.0.0/8"
ANSWERS = {
    "refused": "550 5.1.1 No such user here, ask Zoë at the desk",
    "full": "552 5.2.2 The mailbox of this user is full",
    "later": "451 4.7.1 Come back in an hour",
}


class NextHop:
    """The server behind the relay: what it answers stands in the address."""

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = ANSWERS.get(address.partition("@")[0], "250 2.1.5 Ok")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return "250 2.0.0 Ok: queued as 7XyZ"


@contextmanager
def next_hop(port: int) -> Iterator[None]:
    controller = Controller(NextHop(), hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def door(mailbox) -> Iterator[OpenDoor]:
    with open_door() as opened:
        opened.read_stored()
        yield opened


@contextmanager
def relay(name: str, workshop: Workshop, door: OpenDoor, back: str) -> Iterator[Peer]:
    if reason := why_not(name):
        pytest.skip(reason)
    port = door.port if back == "smtp" else door.lmtp_port
    with peer(name, workshop.good, desk=port, back=back, trusted=HERE) as running, next_hop(running.next_hop):
        leave_by_relay("127.0.0.1", running.port)
        yield running


def state_of(delivery: Delivery) -> str:
    return Delivery.objects.get(pk=delivery.pk).state


def words_of(delivery: Delivery) -> str:
    return DeliveryNote.objects.get(delivery=delivery).report.diagnostic_text


@pytest.mark.parametrize("back", ["smtp", "lmtp"])
@pytest.mark.parametrize("name", ["postfix", "exim", "opensmtpd"])
def test_a_refusal_behind_the_relay_becomes_a_note_on_that_recipient_alone(name, back, workshop, door, reply):
    with relay(name, workshop, door, back), worker():
        refused, full, taken = reply("refused@relayed.example", "full@relayed.example", "ana@relayed.example")
        wait_until(lambda: state_of(refused) == state_of(full) == State.FAILED)

    assert "550 5.1.1 No such user here" in words_of(refused)
    assert "552 5.2.2 The mailbox of this user is full" in words_of(full)
    assert state_of(taken) == State.ACCEPTED
    assert DeliveryNote.objects.count() == 2
    assert {report.proven for report in refused.reports.exclude(returned_mail=None)} == {True}
    assert set(RawMail.objects.values_list("door", flat=True)) == {back}
    assert set(RawMail.objects.values_list("fate", flat=True)) == {RawMail.Fate.REPORT}


def test_a_delay_behind_the_relay_turns_the_reply_amber(workshop, door, reply):
    with relay("postfix", workshop, door, "smtp"), worker():
        [delivery] = reply("later@relayed.example")
        wait_until(lambda: DeliveryNote.objects.exists())

    note = DeliveryNote.objects.get()
    assert note.kind == DeliveryNote.Kind.DELAYED
    assert Conversation.objects.get().alert == Conversation.Alert.DELAYED
    assert state_of(delivery) == State.ACCEPTED  # by the relay, which goes on trying
    [report] = delivery.reports.exclude(returned_mail=None)
    assert "451 4.7.1 Come back in an hour" in report.diagnostic_text


def test_a_report_of_success_makes_it_delivered(workshop, door, reply):
    """We do not ask for such reports; a server that sends them on its own is believed all the same."""
    [delivery] = reply("ana@example.org")
    answer(delivery, "250 2.0.0 Ok\r\n")
    with relay("postfix", workshop, door, "smtp") as server, smtplib.SMTP("127.0.0.1", server.port) as client:
        client.ehlo("desk.lamp.example")
        client.mail(way_back(delivery), ["RET=HDRS"])
        client.rcpt(delivery.recipient, ["NOTIFY=SUCCESS"])
        with delivery.message.content.open("rb") as file:
            client.data(file.read())
        wait_until(lambda: state_of(delivery) == State.DELIVERED)


def test_a_bounce_in_an_account_at_dovecot_becomes_a_note(workshop, door, reply, mailbox, monkeypatch):
    """The relay's bounce goes to the account; a catch-all, so that it is proven by the address that it came to."""
    if reason := dovecot.why_not():
        pytest.skip(reason)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority(workshop)))
    with dovecot.dovecot(workshop) as server, relay("postfix", workshop, door, "smtp"), worker():
        new_account(server, mailbox)
        fetchers = Fetchers(read_all)
        fetchers.settle()
        wait_until(has_begun)
        [delivery] = reply("refused@relayed.example")
        wait_until(lambda: RawMail.objects.filter(door="smtp").exclude(fate=RawMail.Fate.WAITING).exists())
        bounce = RawMail.objects.get()
        with bounce.content.open("rb") as file:
            content = file.read()
        [fresh] = reply("refused@relayed.example")
        wait_until(lambda: state_of(fresh) == State.FAILED)
        server.deliver(content)
        wait_until(lambda: RawMail.objects.filter(door="imap", fate=RawMail.Fate.REPORT).exists())
        fetchers.stop(PATIENCE)

    assert ImapAccount.objects.count() == 1
    assert state_of(delivery) == State.FAILED
    assert RawMail.objects.get(door="imap").fate_reason == f"delivery {delivery.pk}: bounce"
    assert DeliveryNote.objects.filter(delivery=delivery).count() == 1  # two reports of one failure, one note
