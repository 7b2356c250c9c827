"""Mail that e-mail services take for a mailbox: handed over raw in each one's form, kept, and read like any other."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from telltale.conversations.models import Part, RawMail, Relay
from telltale.delivery.models import Delivery
from telltale.delivery.states import State
from telltale.inbound import reading
from tests.delivery.test_queue import answer
from tests.inbound.mails import MAILBOX, letter, report_on, way_back

pytestmark = pytest.mark.django_db
TOKEN = "a-secret-address"
KEY = "lamp-key-0123456789"
SENDER = "ana@oldworks.example"
LETTER = letter(body="Grüße aus dem Laden")


@dataclass(frozen=True)
class Posted:
    body: bytes
    content_type: str


def form(fields: dict[str, bytes]) -> Posted:
    """multipart/form-data, as it is on the wire."""
    pieces = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in fields.items()
    )
    return Posted(pieces + b"--x--\r\n", "multipart/form-data; boundary=x")


def mailgun(content: bytes, recipient: str = MAILBOX, key: str = KEY) -> Posted:
    signature = hmac.new(key.encode(), b"1764288000token", hashlib.sha256).hexdigest()
    signed = {"timestamp": b"1764288000", "token": b"token", "signature": signature.encode()}
    mail = {"recipient": recipient.encode(), "sender": SENDER.encode(), "body-mime": content}
    return form(signed | mail)


def sendgrid(content: bytes, recipient: str = MAILBOX) -> Posted:
    envelope = json.dumps({"to": [recipient], "from": SENDER}).encode()
    return form({"envelope": envelope, "email": content})


def mandrill(content: bytes, recipient: str = MAILBOX) -> Posted:
    events = [{"event": "inbound", "ts": 1, "msg": {"raw_msg": content.decode(), "email": recipient}}]
    body = urlencode({"mandrill_events": json.dumps([*events, {"event": "send"}])}).encode()
    return Posted(body, "application/x-www-form-urlencoded")


def postmark(content: bytes, recipient: str = MAILBOX) -> Posted:
    mail = {"RawEmail": content.decode(), "OriginalRecipient": recipient, "From": SENDER}
    return Posted(json.dumps(mail).encode(), "application/json")


def sparkpost(content: bytes, recipient: str = MAILBOX) -> Posted:
    mail = {
        "content": {"email_rfc822": b64encode(content).decode(), "email_rfc822_is_base64": True},
        "rcpt_to": recipient,
        "msg_from": SENDER,
        "protocol": "smtp",
    }
    return Posted(json.dumps([{"msys": {"relay_message": mail}}]).encode(), "application/json")


SERVICES: dict[str, Callable[..., Posted]] = {
    "mailgun": mailgun,
    "mandrill": mandrill,
    "postmark": postmark,
    "sendgrid": sendgrid,
    "sparkpost": sparkpost,
}


@pytest.fixture
def hand(client, mailbox, agent):
    """Posts to the address of this service's mail; returns the code of the answer."""

    def hand(service: str, posted: Posted, *, token: str = TOKEN, key: str = "") -> int:
        fields = {"mailbox": mailbox, "host": "smtp.example", "service": service, "events_token": TOKEN}
        relay = Relay.objects.filter(service=service).first() or Relay.objects.create(
            **fields, events_key=key
        )
        where = reverse("service-mail", args=[relay.pk, token])
        return client.post(where, posted.body, content_type=posted.content_type).status_code

    return hand


@pytest.mark.parametrize("service", SERVICES)
def test_a_letter_is_kept_octet_for_octet_and_becomes_a_message(hand, service):
    assert hand(service, SERVICES[service](LETTER), key=KEY if service == "mailgun" else "") == 200

    mail = RawMail.objects.get()
    assert (mail.door, mail.peer, mail.rcpt_to) == ("service", service, MAILBOX)
    with mail.content.open("rb") as file:
        assert file.read() == LETTER
    assert reading.read_next()
    assert Part.objects.get().body == "Grüße aus dem Laden"


@pytest.mark.parametrize("service", SERVICES)
def test_handed_over_again_it_is_kept_once(hand, service):
    for _ in range(2):
        assert hand(service, SERVICES[service](LETTER)) == 200

    assert RawMail.objects.count() == 1


@pytest.mark.parametrize("service", ["mailgun", "sendgrid", "sparkpost"])
def test_octets_that_are_no_utf_8_are_kept_as_they_came(hand, service):
    content = LETTER + b"\xff\xfe\r\n"
    assert hand(service, SERVICES[service](content)) == 200

    with RawMail.objects.get().content.open("rb") as file:
        assert file.read().rstrip() == content.rstrip()


@pytest.mark.parametrize("service", SERVICES)
def test_a_bounce_to_a_signed_return_path_becomes_a_note(hand, service, reply):
    [delivery] = reply(SENDER)
    answer(delivery, "250 2.0.0 Ok\r\n")

    hand(service, SERVICES[service](report_on(delivery), way_back(delivery)))

    assert reading.read_next()
    assert Delivery.objects.get(pk=delivery.pk).state == State.FAILED


def test_what_is_for_nobody_here_comes_to_the_mailbox(hand):
    hand("postmark", postmark(LETTER, "hash@inbound.postmarkapp.com"))

    assert RawMail.objects.get().rcpt_to == MAILBOX


def test_a_forged_signature_of_mailgun_is_refused_and_the_admin_sees_it(hand):
    assert hand("mailgun", mailgun(LETTER, key="another"), key=KEY) == 400

    assert not RawMail.objects.exists()
    assert "signature" in Relay.objects.get().events_fault


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_hands_over_mail_who_does_not_know_the_address(hand, service):
    assert hand(service, SERVICES[service](LETTER), token="guessed") == 404
    assert not RawMail.objects.exists()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "posted",
    [
        Posted(b"", "application/json"),
        Posted(b"{}", "application/json"),
        Posted(b"[[]]", "application/json"),
        Posted(b"\xff", "application/json"),
        Posted(b"", "multipart/form-data"),
        form({"email": b"", "envelope": b"{}", "body-mime": b""}),
        Posted(b"mandrill_events=x", "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_mail_is_refused_with_what_to_do(hand, service, posted):
    assert hand(service, posted) == 400
    assert not RawMail.objects.exists()
    assert Relay.objects.get().events_fault


def test_a_mail_that_is_larger_than_the_desk_takes_is_refused(hand, settings):
    settings.MAX_MESSAGE_SIZE = 1_000

    assert hand("postmark", postmark(letter(body="x" * 4_000))) == 413


def test_the_page_of_the_relay_shows_the_address(client, agent, mailbox):
    client.force_login(agent)
    relay = Relay.objects.create(mailbox=mailbox, host="smtp.example", service="mailgun", events_token=TOKEN)

    page = client.get(reverse("relay", args=[relay.pk])).content.decode()

    assert f"/services/{relay.pk}/{TOKEN}/mime" in page
    assert "Receiving, Routes" in page
