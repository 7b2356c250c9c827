"""The doors and their guests: TLS, LMTP, proxies, and how much of the door one stranger may have."""

from __future__ import annotations

import smtplib
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import ip_network

import pytest
from django.conf import settings as desk

from telltale.conversations.models import RawMail
from telltale.delivery.models import Delivery
from telltale.inbound import guests as limits
from telltale.inbound import sessions
from telltale.inbound.guests import Guests
from tests.delivery.test_queue import answer
from tests.delivery.test_worker import PATIENCE
from tests.inbound.mails import MAILBOX, letter, report_on, way_back
from tests.inbound.open_door import OpenDoor, open_door
from tests.smtp.certificates import Workshop

pytestmark = pytest.mark.django_db(transaction=True)
SENDER = "ana@oldworks.example"
NOBODY = (ip_network("192.0.2.0/24"),)
HERE = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def accepted(reply) -> Delivery:
    [delivery] = reply(SENDER)
    answer(delivery, "250 2.0.0 Ok\r\n")
    return delivery


@pytest.fixture
def opened(stack, mailbox, settings) -> Callable[..., OpenDoor]:
    """Opens the door with these settings."""

    def open_with(**values: object) -> OpenDoor:
        settings.ENVIRONMENT = replace(desk.ENVIRONMENT, **values)
        return stack.enter_context(open_door())

    return open_with


@pytest.fixture
def connect(stack) -> Callable[[int], smtplib.SMTP]:
    def connect(port: int) -> smtplib.SMTP:
        client = stack.enter_context(smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE))
        client.ehlo("mx.oldworks.example")
        return client

    return connect


def unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def send(client: smtplib.SMTP, content: bytes = b"", recipient: str = MAILBOX) -> tuple[int, bytes]:
    assert client.mail(SENDER)[0] == 250
    assert client.rcpt(recipient)[0] == 250
    return client.data(content or letter())


# TLS


def test_without_a_certificate_the_door_makes_one_and_a_mail_comes_in_encrypted(opened, connect):
    client = connect(opened().port)

    assert client.starttls(context=unchecked())[0] == 220
    client.ehlo()
    assert "starttls" not in client.esmtp_features
    assert send(client)[0] == 250
    assert RawMail.objects.get().peer == "127.0.0.1"
    key = desk.ENVIRONMENT.data / "tls" / "key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_nobody_is_offered_to_sign_in_with_or_without_tls(opened, connect):
    client = connect(opened().port)
    assert "auth" not in client.esmtp_features

    client.starttls(context=unchecked())
    client.ehlo()

    assert "auth" not in client.esmtp_features


def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not(opened, tmp_path):
    pem = tmp_path / "desk.pem"
    workshop = Workshop(tmp_path)
    first, second = workshop.self_signed("desk.lamp.example"), workshop.self_signed("desk.lamp.example")
    pem.write_bytes(first.pem)
    port = opened(tls_certificate=pem).port

    def serial_shown() -> bytes | None:
        with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
            client.starttls(context=unchecked())
            assert isinstance(client.sock, ssl.SSLSocket)
            return client.sock.getpeercert(binary_form=True)

    before = serial_shown()
    pem.write_bytes(second.pem)
    after = serial_shown()
    pem.write_bytes(b"half a certif")

    assert before != after
    assert serial_shown() == after


def test_what_was_said_before_tls_is_forgotten_with_it(opened, connect):
    """CVE-2011-0411: commands that a third party puts behind STARTTLS."""
    client = connect(opened().port)
    client.sock.sendall(b"STARTTLS\r\nMAIL FROM:<eve@evil.example>\r\n")
    assert client.getreply()[0] == 220
    client.sock = unchecked().wrap_socket(client.sock, server_hostname="desk.lamp.example")
    client.file = None
    client.ehlo()

    assert client.rcpt(MAILBOX)[0] == 503


# LMTP


def test_a_mail_server_of_ours_hears_one_reply_for_each_recipient(opened, accepted, stack):
    port = opened().lmtp_port
    client = stack.enter_context(smtplib.LMTP("127.0.0.1", port, timeout=PATIENCE))
    client.docmd("LHLO", "mx.lamp.example")
    client.mail("")
    for recipient in (MAILBOX, way_back(accepted)):
        assert client.rcpt(recipient)[0] == 250
    assert client.rcpt("nobody@lamp.example")[0] == 550

    client.putcmd("DATA")
    assert client.getreply()[0] == 354
    client.sock.sendall(letter() + b".\r\n")

    assert [client.getreply()[0] for _ in range(2)] == [250, 250]
    assert client.docmd("NOOP")[0] == 250
    assert set(RawMail.objects.values_list("door", flat=True)) == {"lmtp"}


def test_lmtp_answers_for_each_recipient_also_where_the_mail_is_too_large(opened, settings, stack):
    settings.MAX_MESSAGE_SIZE = 1_000
    client = stack.enter_context(smtplib.LMTP("127.0.0.1", opened().lmtp_port, timeout=PATIENCE))
    client.docmd("LHLO", "mx.lamp.example")
    client.mail("")
    client.rcpt(MAILBOX)
    client.rcpt(MAILBOX.upper())
    client.putcmd("DATA")
    client.getreply()
    client.sock.sendall(b"x" * 60 + b"\r\n" + (b"y" * 60 + b"\r\n") * 40 + b".\r\n")

    assert [client.getreply()[0] for _ in range(2)] == [552, 552]
    assert client.docmd("NOOP")[0] == 250


def test_smtp_is_not_spoken_at_the_door_for_lmtp(opened, stack):
    client = stack.enter_context(smtplib.SMTP("127.0.0.1", opened().lmtp_port, timeout=PATIENCE))

    assert client.ehlo()[0] == 500


# A line may be long, a mail may not


def test_a_bounce_with_a_line_of_two_hundred_thousand_octets_is_taken(opened, connect, accepted):
    """What our peer returns may have lines as long as it likes; refused, the agent would not learn of it."""
    client = connect(opened().port)
    content = report_on(accepted).replace(b"Sorry.", b"Sorry. " + b"z" * 200_000)

    assert send(client, content, way_back(accepted))[0] == 250


def test_a_line_without_an_end_is_refused_and_the_session_goes_on(opened, connect):
    client = connect(opened().port)

    assert send(client, b"z" * (sessions.LONGEST_LINE * 3))[0] == 500
    assert send(client)[0] == 250


def test_a_mail_without_an_end_is_broken_off(opened, settings, connect):
    settings.MAX_MESSAGE_SIZE = 10_000
    client = connect(opened().port)
    client.mail(SENDER)
    client.rcpt(MAILBOX)
    client.docmd("DATA")

    with pytest.raises(OSError, match=r"reset|Broken pipe"):
        client.sock.sendall(b"never ends\r\n" * 1_000_000)

    assert not RawMail.objects.exists()


def test_a_mail_that_trickles_in_is_broken_off_in_the_end(opened, connect, monkeypatch):
    monkeypatch.setattr(sessions, "LONGEST_MAIL", 0.3)
    client = connect(opened().port)
    client.mail(SENDER)
    client.rcpt(MAILBOX)
    client.docmd("DATA")

    assert client.getreply() == (421, b"4.4.2 This mail takes too long")


def test_who_says_nothing_is_let_go(opened, monkeypatch):
    monkeypatch.setattr(sessions, "COMMAND_TIMEOUT", 0.2)
    with socket.create_connection(("127.0.0.1", opened().port), timeout=PATIENCE) as silent:
        assert silent.recv(3) == b"220"
        while silent.recv(1024):
            pass


# How much of the door one stranger may have


def test_a_full_door_asks_to_come_again_and_has_room_once_somebody_left(opened, connect, stack):
    port = opened(smtp_connections=2).port
    first, second = connect(port), connect(port)
    with pytest.raises(smtplib.SMTPConnectError, match=r"4\.3\.2 This server is busy"):
        smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)

    first.quit()

    assert second.noop()[0] == 250
    assert connect(port).noop()[0] == 250


def test_a_stranger_who_guesses_addresses_is_sent_away(opened, connect):
    client = connect(opened(smtp_trusted=NOBODY).port)
    client.mail(SENDER)
    for number in range(sessions.MOST_REFUSALS - 1):
        assert client.rcpt(f"guess-{number}@lamp.example")[0] == 550

    assert client.rcpt("guess@lamp.example") == (421, b"4.7.0 Too many refused recipients")


def test_our_own_mail_server_may_ask_as_often_as_it_likes(opened, connect):
    client = connect(opened(smtp_trusted=HERE).port)
    client.mail(SENDER)

    codes = {client.rcpt(f"guess-{number}@lamp.example")[0] for number in range(sessions.MOST_REFUSALS * 2)}

    assert codes == {550}


def test_a_stranger_who_sends_too_fast_is_slowed_down_and_loses_nothing(opened, connect, monkeypatch):
    monkeypatch.setattr(limits, "MOST_PER_MINUTE", 3)
    client = connect(opened(smtp_trusted=NOBODY).port)
    codes = []
    for _ in range(8):
        codes.append(client.mail(SENDER)[0])
        client.rset()

    assert codes == [250] * 5 + [450] * 3  # the connection itself was the first


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_stranger_at_the_limit_leaves_the_door_to_the_others():
    guests = Guests(trusted=HERE, most=1_000, now=Clock())
    for _ in range(limits.MOST_CONNECTIONS):
        assert guests.come("198.51.100.7") == ""

    assert guests.come("198.51.100.7") == (
        "421 4.7.0 Too many connections from 198.51.100.7 at once, try again in a minute"
    )
    assert guests.come("198.51.100.8") == ""
    guests.leave("198.51.100.7")
    assert guests.come("198.51.100.7") == ""


def test_the_pace_is_given_back_by_waiting():
    clock = Clock()
    guests = Guests(trusted=HERE, most=1_000, now=clock)
    burst = [guests.must_slow_down("198.51.100.7") for _ in range(limits.MOST_PER_MINUTE * 2 + 1)]
    clock.now = 1.0

    assert burst.index(True) == limits.MOST_PER_MINUTE * 2
    assert [guests.must_slow_down("198.51.100.7") for _ in range(3)] == [False, False, True]


def test_the_addresses_of_one_ipv6_customer_are_one_stranger_and_a_mapped_address_is_ipv4():
    guests = Guests(trusted=HERE, most=1_000, now=Clock())
    for number in range(limits.MOST_CONNECTIONS):
        assert guests.come(f"2001:db8::{number:x}") == ""

    assert "2001:db8::/64" in guests.come("2001:db8::ffff")
    assert guests.come("2001:db8:0:1::1") == ""
    assert guests.is_trusted("::ffff:127.0.0.1")
    assert not guests.is_trusted("::ffff:198.51.100.7")
    assert not guests.is_trusted("")


def test_strangers_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "MOST_STRANGERS", 10)
    guests = Guests(trusted=HERE, most=1_000, now=Clock())
    for number in range(100):
        guests.must_slow_down(f"198.51.100.{number}")

    assert len(guests._pace) == 10


# Behind a proxy


def test_behind_a_proxy_the_one_behind_it_is_written_down(opened, stack):
    port = opened(smtp_proxies=HERE).port
    for header, peer in {
        b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n": "198.51.100.7",
        b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n": "2001:db8::7",
        b"PROXY UNKNOWN\r\n": "127.0.0.1",
    }.items():
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        connection.sendall(header)
        client = smtplib.SMTP()
        client.sock = connection
        assert client.getreply()[0] == 220
        client.ehlo()
        assert send(client)[0] == 250
        assert RawMail.objects.last().peer == peer  # type: ignore[union-attr]


def test_past_the_proxy_nobody_gets_in(opened):
    with pytest.raises(smtplib.SMTPConnectError, match=r"5\.7\.1 Mail comes here through our proxy alone"):
        smtplib.SMTP("127.0.0.1", opened(smtp_proxies=NOBODY).port, timeout=PATIENCE)


def test_behind_a_proxy_a_connection_without_its_header_ends(opened):
    with socket.create_connection(("127.0.0.1", opened(smtp_proxies=HERE).port), timeout=PATIENCE) as bare:
        bare.sendall(b"EHLO mx.oldworks.example\r\n")
        assert bare.recv(100) == b""
