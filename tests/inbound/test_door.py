"""The SMTP door over real sockets: who gets in, and that nothing is acknowledged before it is kept."""

from __future__ import annotations

import signal
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone

from telltale.conversations.models import Conversation, Mailbox, Part, RawMail, Relay
from telltale.delivery.models import Delivery, DeliveryNote
from telltale.delivery.states import State
from telltale.inbound import store
from telltale.inbound.service_events import hear
from telltale.mail.reply_address import sign as sign_reply
from telltale.mail.return_path import LIFETIME, sign
from tests.delivery.test_queue import answer
from tests.delivery.test_worker import PATIENCE, wait_until
from tests.inbound.door_process import locked, somebody_waits_for
from tests.inbound.mails import MAILBOX, letter, report_on, way_back
from tests.inbound.open_door import OpenDoor, open_door
from tests.inbound.services import Told, postmark

pytestmark = pytest.mark.django_db(transaction=True)
SENDER = "ana@oldworks.example"


@pytest.fixture
def door(mailbox) -> Iterator[OpenDoor]:
    with open_door() as opened:
        yield opened


@pytest.fixture
def client(door) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP("127.0.0.1", door.port, timeout=PATIENCE) as smtp:
        smtp.ehlo("mx.oldworks.example")
        yield smtp


@pytest.fixture
def accepted(reply) -> Delivery:
    [delivery] = reply(SENDER)
    answer(delivery, "250 2.0.0 Ok\r\n")
    return delivery


def rcpt(client: smtplib.SMTP, address: str | bytes) -> tuple[int, str]:
    client.docmd("RSET")
    client.docmd("MAIL", "FROM:<>")
    octets = address if isinstance(address, bytes) else address.encode()
    client.sock.sendall(b"RCPT TO:<" + octets + b">\r\n")
    code, text = client.getreply()
    return code, text.decode("utf-8", "replace")


def send(client: smtplib.SMTP, content: bytes, *recipients: str, sender: str = SENDER) -> tuple[int, str]:
    """The answer behind the final dot."""
    client.docmd("MAIL", f"FROM:<{sender}>")
    for recipient in recipients or (MAILBOX,):
        assert client.docmd("RCPT", f"TO:<{recipient}>")[0] == 250
    code, text = client.data(content)
    return code, text.decode()


def content_of(mail: RawMail) -> bytes:
    with mail.content.open("rb") as file:
        return bytes(file.read())


# Who gets in


def test_the_door_says_who_it_is_and_what_it_can(client):
    assert client.ehlo_resp.decode().startswith("desk.lamp.example")
    assert {"size", "8bitmime", "smtputf8"} <= set(client.esmtp_features)


def test_our_mailboxes_and_signed_return_paths_are_taken_whatever_their_case(client, accepted):
    answers = sign_reply(5, mailbox=MAILBOX, key=settings.REPLY_ADDRESS_KEYS[0])
    for address in (MAILBOX, way_back(accepted), answers):
        assert rcpt(client, address) == rcpt(client, address.upper()) == (250, "2.1.5 Recipient is ours")


def test_everybody_else_is_refused_with_the_reason(client, accepted):
    signed = way_back(accepted)
    now, key = timezone.now(), settings.RETURN_PATH_KEYS[0]
    old = sign(accepted.pk, domain="lamp.example", key=key, now=now - LIFETIME - timedelta(days=1))
    forged = sign(accepted.pk, domain="lamp.example", key=b"not our key", now=now)
    next_one = sign(accepted.pk + 1, domain="lamp.example", key=key, now=now)
    borrowed = f"{next_one.rpartition('-')[0]}-{signed.rpartition('-')[2]}"
    refused = {
        "nobody@lamp.example": "is no mailbox of this desk",
        sign_reply(
            5, mailbox=MAILBOX, key=b"not our key"
        ): "is no reply address of ours: its signature is wrong",
        "support@elsewhere.example": "is no mailbox of this desk",  # no open relay
        f"{SENDER}": "is no mailbox of this desk",
        "support%elsewhere.example@lamp.example": "is no mailbox of this desk",
        forged: "is no return path of ours: its signature is wrong",
        borrowed: "is no return path of ours: its signature is wrong",
        signed[:-14] + "@lamp.example": "is no return path of ours: its signature is wrong",
        old: "is no return path of ours: it has expired",
    }
    for address, reason in refused.items():
        assert rcpt(client, address) == (550, f"5.1.1 <{address}> {reason}")


NO_ADDRESSES = [
    b"a\0b@lamp.example",
    b"support@lamp.example\0",
    b"\xff\xfe@lamp.example",
    b"\x1b[31m@x",
    b"@",
    b"",
]


def test_what_is_no_address_is_refused_for_good(client):
    """A 4xx would have it tried again for days."""
    for address in NO_ADDRESSES:
        assert rcpt(client, address)[0] in (501, 550, 553), address


def test_an_address_with_other_letters_is_looked_up_like_any_other(client):
    Mailbox.objects.create(name="Küche", address="küche@lamp.example")

    assert rcpt(client, "küche@lamp.example")[0] == 250
    assert rcpt(client, "keller-ä@lamp.example")[0] == 550


def test_the_hundred_and_first_recipient_has_to_come_again(client):
    client.docmd("MAIL", "FROM:<>")
    for _ in range(100):
        assert client.docmd("RCPT", f"TO:<{MAILBOX}>")[0] == 250

    assert client.docmd("RCPT", f"TO:<{MAILBOX}>")[0] == 452


# What is acknowledged is kept


def test_a_mail_is_kept_octet_for_octet_with_its_envelope_before_we_say_so(client):
    content = letter(body="Grüße\r\n.dot\r\n..two\r\nFrom here\r\n\0 \x7f") + b"\xff\xfe\r\n"

    assert send(client, content) == (250, "2.0.0 Stored")

    mail = RawMail.objects.get()
    assert content_of(mail) == content
    assert (mail.mail_from, mail.rcpt_to, mail.door, mail.peer) == (SENDER, MAILBOX, "smtp", "127.0.0.1")
    assert (mail.size, mail.fate) == (len(content), RawMail.Fate.WAITING)


def test_a_mail_to_several_of_ours_is_kept_for_each_and_once(client, accepted):
    send(client, letter(), MAILBOX, way_back(accepted), MAILBOX.upper(), sender="")

    assert {mail.rcpt_to.lower() for mail in RawMail.objects.all()} == {MAILBOX, way_back(accepted)}
    assert RawMail.objects.count() == 2


def test_a_sender_that_no_database_takes_does_not_stop_the_mail(client):
    client.sock.sendall(b"MAIL FROM:<\xff\xfe@x.example>\r\n")
    assert client.getreply()[0] == 250
    client.docmd("RCPT", f"TO:<{MAILBOX}>")

    assert client.data(letter())[0] == 250
    assert RawMail.objects.get().mail_from == r"\udcff\udcfe@x.example"


def test_the_null_sender_of_a_bounce_is_stored_as_nobody(client):
    client.docmd("MAIL", "FROM:<>")
    client.docmd("RCPT", f"TO:<{MAILBOX}>")
    client.data(letter())

    assert RawMail.objects.get().mail_from == ""


def test_a_second_mail_cannot_be_smuggled_into_the_first(client):
    """RFC 5321 section 4.1.1.4: only CRLF dot CRLF ends a mail."""
    for ending in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n"):
        inner = b"MAIL FROM:<eve@evil.example>\r\nRCPT TO:<support@lamp.example>\r\nDATA\r\n"
        client.docmd("MAIL", f"FROM:<{SENDER}>")
        client.docmd("RCPT", f"TO:<{MAILBOX}>")
        client.docmd("DATA")
        client.sock.sendall(letter() + ending + inner + b"From: eve\r\n\r\nx\r\n.\r\n")
        assert client.getreply()[0] == 250, ending
        client.docmd("NOOP")

    assert set(RawMail.objects.values_list("mail_from", flat=True)) == {SENDER}
    assert RawMail.objects.count() == 5


def test_a_mail_that_is_too_large_is_refused_where_it_is_announced_and_where_it_is_not(settings, mailbox):
    settings.MAX_MESSAGE_SIZE = 50_000  # twice as much may come in: a bounce holds our mail and more
    with open_door() as opened, smtplib.SMTP("127.0.0.1", opened.port, timeout=PATIENCE) as client:
        client.ehlo()
        assert client.docmd("MAIL", f"FROM:<{SENDER}> SIZE=100001")[0] == 552
        assert send(client, letter(body="x" * 76 + "\r\n" + ("y" * 76 + "\r\n") * 1_400))[0] == 552
        assert not RawMail.objects.exists()

        assert send(client, letter())[0] == 250  # and the session goes on


def test_a_connection_that_breaks_before_the_final_dot_leaves_nothing(door, client):
    client.docmd("MAIL", f"FROM:<{SENDER}>")
    client.docmd("RCPT", f"TO:<{MAILBOX}>")
    client.docmd("DATA")
    client.sock.sendall(letter())
    client.sock.close()
    client.sock = None

    with smtplib.SMTP("127.0.0.1", door.port, timeout=PATIENCE) as another:
        another.ehlo()
        assert send(another, letter(body="whole"))[0] == 250
    assert RawMail.objects.count() == 1


# Where it cannot be kept, it is not acknowledged


@contextmanager
def hidden(table: str) -> Iterator[None]:
    """A database that fails at this table."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE {table}_away RENAME TO {table}")


def test_a_database_that_fails_at_the_recipient_means_try_again(client):
    with hidden("conversations_mailbox"):
        assert rcpt(client, MAILBOX)[0] == 451

    assert rcpt(client, MAILBOX)[0] == 250


def test_a_database_that_fails_at_the_mail_means_try_again_and_nothing_is_half_kept(client, accepted):
    before = stored_files()
    with hidden("conversations_rawmail"):
        assert send(client, letter(), MAILBOX, way_back(accepted))[0] == 451
    assert not RawMail.objects.exists()
    assert stored_files() == before

    assert send(client, letter(), MAILBOX, way_back(accepted))[0] == 250
    assert RawMail.objects.count() == 2


def stored_files() -> int:
    return sum(1 for path in (settings.MEDIA_ROOT / "inbound").rglob("*") if path.is_file())


def test_a_disk_that_fails_means_try_again(client, monkeypatch, tmp_path):
    no_folder = tmp_path / "file"
    no_folder.touch()
    with monkeypatch.context() as broken:
        broken.setattr(default_storage._wrapped, "base_location", str(no_folder))
        broken.setattr(default_storage._wrapped, "location", str(no_folder))
        assert send(client, letter())[0] == 451
    assert not RawMail.objects.exists()

    assert send(client, letter())[0] == 250


# The process


def test_what_an_earlier_process_left_is_read_first_and_then_what_comes(door, client):
    store.store(
        letter(body="left over"), door="smtp", mail_from=SENDER, recipients=[MAILBOX], peer="127.0.0.1"
    )

    door.read_stored()
    wait_until(lambda: Part.objects.filter(body="left over").exists())
    send(client, letter(body="just came"))

    wait_until(lambda: Part.objects.filter(body="just came").exists())


def test_a_bounce_over_the_wire_becomes_a_note(door, client, accepted):
    door.read_stored()

    send(client, report_on(accepted), way_back(accepted), sender="")

    wait_until(lambda: DeliveryNote.objects.exists())
    accepted.refresh_from_db()
    assert accepted.state == State.FAILED


def test_an_event_of_a_service_that_the_web_process_has_kept_is_read_at_once(door, accepted):
    door.read_stored()
    told = Told("bounced", accepted.recipient, way_back(accepted).partition("@")[0])
    relay = Relay.objects.create(
        mailbox=accepted.mailbox, host="smtp.postmarkapp.com", service="postmark", events_token="secret"
    )

    hear(relay, RequestFactory().post("/", postmark(told).body, content_type="application/json"))

    wait_until(lambda: DeliveryNote.objects.exists())


def test_killed_before_it_is_kept_the_sender_has_no_answer_and_sends_again(process):
    first = process()
    client = first.connect()
    with locked("conversations_rawmail"):
        sending = threading.Thread(target=lambda: _sent_into_the_void(client))
        sending.start()
        wait_until(lambda: somebody_waits_for("conversations_rawmail"))
        first.end(signal.SIGKILL)
        sending.join(PATIENCE)

    with process().connect() as again:
        assert send(again, letter())[0] == 250
    wait_until(lambda: Part.objects.filter(body="Thank you!").exists())

    assert Conversation.objects.count() == RawMail.objects.count() == 1


def _sent_into_the_void(client: smtplib.SMTP) -> None:
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        send(client, letter())


def test_killed_after_it_is_acknowledged_the_next_process_reads_it_once(process):
    first = process()
    with locked("conversations_conversation"):
        with first.connect() as client:
            assert send(client, letter())[0] == 250
        wait_until(lambda: somebody_waits_for("conversations_conversation"))
        first.end(signal.SIGKILL)
    wait_until(lambda: not somebody_waits_for("conversations_conversation"))
    assert not Part.objects.exists()
    assert RawMail.objects.get().fate == RawMail.Fate.WAITING

    process()

    wait_until(lambda: Part.objects.filter(body="Thank you!").exists())
    assert Conversation.objects.count() == 1


def test_sigterm_ends_it_and_what_was_acknowledged_is_kept(process):
    running = process()
    with running.connect() as client:
        assert send(client, letter())[0] == 250

    assert running.end(signal.SIGTERM) == 0
    assert content_of(RawMail.objects.get()) == letter()
    assert Path(RawMail.objects.get().content.path).stat().st_mode & 0o077 == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))
