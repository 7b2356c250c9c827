"""Whether a mail comes from whom it names: by SPF and DKIM of a real name server, or by what a trusted server says."""

from __future__ import annotations

import smtplib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as desk_settings

from telltale.config.environment import HostPort
from telltale.conversations.models import Part, RawMail
from telltale.inbound import reading, verification
from telltale.inbound.store import keep
from telltale.inbound.verification import UNKNOWN, Verification, blocking_resolver, by_results, check
from telltale.sandbox.dns import Zone
from tests.delivery.test_worker import PATIENCE, wait_until
from tests.inbound.mails import MAILBOX, letter
from tests.inbound.open_door import open_door
from tests.name_server import name_server_of

ANA = "ana@oldworks.example"
PEER = "198.51.100.7"
NOBODY = (ip_network("192.0.2.0/24"),)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture(scope="module")
def name_server(key) -> Iterator[HostPort]:
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    zone = Zone("example.", "127.in-addr.arpa.")
    zone.publish("oldworks.example", "TXT", f'"v=spf1 ip4:{PEER} -all"')
    zone.publish("soft.example", "TXT", '"v=spf1 ~all"')
    zone.publish("broken.example", "TXT", '"v=spf1 ipv4:oops -all"')
    zone.publish("here.example", "TXT", '"v=spf1 ip4:127.0.0.1 -all"')
    zone.publish("bare.example", "A", "192.0.2.1")
    zone.publish("_dmarc.firm.example", "TXT", '"v=DMARC1; p=none; sp=reject; rua=mailto:x@firm.example"')
    zone.publish("_dmarc.public.example", "TXT", '"v=DMARC1; p=reject; psd=y"')
    zone.publish("_dmarc.strict.example", "TXT", '"v=DMARC1; p=quarantine"')
    encoded = b64encode(public).decode()
    record = " ".join(f'"{piece}"' for piece in (f"v=DKIM1; k=rsa; p={encoded[:200]}", encoded[200:]))
    for domain in (
        "oldworks.example",
        "mail.oldworks.example",
        "evil.example",
        "mail.firm.example",
        "evil.public.example",
    ):
        zone.publish(f"s1._domainkey.{domain}", "TXT", record)
    with name_server_of(zone) as where:
        yield where


@pytest.fixture
def look(name_server):
    """What we find out about a mail."""

    def look(content: bytes, *, sender: str = ANA, peer: str = PEER, mail_from: str = ANA) -> Verification:
        return check(content, sender, peer=peer, mail_from=mail_from, resolver=blocking_resolver(name_server))

    return look


@pytest.fixture
def signed(key):
    """A letter with the signature of this domain."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )

    def sign(domain: str) -> bytes:
        content = letter()
        return bytes(dkim.sign(content, b"s1", domain.encode(), pem)) + content

    return sign


def test_a_host_that_the_senders_domain_allows_verifies_them(look):
    assert look(letter()) == Verification("pass", f"oldworks.example allows {PEER} to send its mail (SPF)")


def test_a_signature_of_the_senders_domain_verifies_them_whoever_hands_the_mail_over(look, signed):
    """Forwarded mail has another host and often another return path, and its signature still."""
    found = look(signed("oldworks.example"), peer="203.0.113.9", mail_from="list@lists.example")

    assert found == Verification("pass", "signed by oldworks.example (DKIM)")


def test_a_domain_below_the_senders_stands_for_it_and_another_does_not(look, signed):
    elsewhere = {"peer": "203.0.113.9", "mail_from": "x@evil.example"}
    assert look(signed("mail.oldworks.example"), **elsewhere).outcome == "pass"
    assert look(signed("evil.example"), **elsewhere).outcome == "fail"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        (
            {"peer": "203.0.113.9"},
            "and oldworks.example does not allow 203.0.113.9 to send its mail (SPF: fail)",
        ),
        (
            {"mail_from": "a@soft.example"},
            f"and soft.example does not allow {PEER} to send its mail (SPF: softfail)",
        ),
        ({"mail_from": "a@here.example", "peer": "127.0.0.1"}, "; it was sent by here.example"),
        ({"mail_from": "a@bare.example"}, "and does not say who sends its mail (SPF)"),
        ({"mail_from": "a@broken.example"}, "and does not say who sends its mail (SPF)"),
        ({"mail_from": ""}, "and does not say who sends its mail (SPF)"),
    ],
)
def test_whom_nobody_stands_behind_could_not_be_verified(look, how, why):
    found = look(letter(), **how)

    assert found.outcome == "fail"
    assert found.text.startswith("oldworks.example has not signed it (DKIM)")
    assert found.text.endswith(why)


def test_a_sibling_counts_below_the_domain_that_speaks_for_both(look, signed):
    elsewhere = {"peer": "203.0.113.9", "mail_from": "x@evil.example"}
    assert look(signed("mail.firm.example"), sender="ana@shop.firm.example", **elsewhere).outcome == "pass"
    assert (
        look(signed("mail.oldworks.example"), sender="ana@shop.oldworks.example", **elsewhere).outcome
        == "fail"
    )


@pytest.mark.parametrize(
    ("sender", "asks"),
    [
        ("ana@shop.firm.example", ". firm.example asks servers to reject such mail (DMARC)"),
        ("ana@strict.example", ". strict.example asks servers to quarantine such mail (DMARC)"),
        ("ana@firm.example", "(SPF)"),
        ("ana@a.b.c.d.e.f.g.h.oldworks.example", "(SPF)"),
    ],
)
def test_what_the_domain_asks_for_is_said(look, sender, asks):
    found = look(letter(), sender=sender, mail_from="")

    assert (found.outcome, found.text.endswith(asks)) == ("fail", True)


def test_a_signature_that_does_not_hold_verifies_nobody(look, signed):
    changed = signed("oldworks.example").replace(b"Thank you!", b"Pay me!")

    assert look(changed, peer="203.0.113.9").outcome == "fail"


@pytest.mark.parametrize(
    "header",
    [
        b"DKIM-Signature: nonsense\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=oldworks.example; s=s1; h=from; bh=; b=!!!\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; d=\xff; s=s1; h=from; bh=x; b=x\r\n" * 50,
    ],
)
def test_a_broken_signature_is_none(look, header):
    assert look(header + letter(), peer="203.0.113.9").outcome == "fail"


def test_where_dns_does_not_answer_nobody_is_called_a_forger(monkeypatch):
    monkeypatch.setattr(verification, "SECONDS_PER_QUESTION", 0.2)
    resolver = blocking_resolver(HostPort("127.0.0.1", 9))

    assert check(letter(), ANA, peer=PEER, mail_from=ANA, resolver=resolver) == UNKNOWN


def test_the_questions_about_one_mail_end(look, monkeypatch):
    monkeypatch.setattr(verification, "SECONDS", 0.0)

    assert look(letter()) == UNKNOWN


@pytest.mark.parametrize("sender", ["", "nobody", "a@", "a@" + "x" * 300])
def test_a_sender_without_a_domain_is_not_looked_at(look, sender):
    assert look(letter(), sender=sender).outcome in ("", "fail")


# By what a server of ours says

GOOGLE = (
    "mx.google.com;\r\n       dkim=pass header.i=@oldworks.example header.s=s1 header.b=abc;\r\n"
    "       spf=pass (google.com: domain of ana@oldworks.example designates 198.51.100.7 as permitted sender)"
    " smtp.mailfrom=ana@oldworks.example;\r\n       dmarc=pass (p=REJECT dis=NONE) header.from=oldworks.example"
)
MICROSOFT = (
    "spf=fail (sender IP is 203.0.113.9)\r\n smtp.mailfrom=evil.example; dkim=none (message not signed)\r\n"
    " header.d=none;dmarc=fail action=none\r\n header.from=oldworks.example;compauth=fail reason=001"
)


OURS = ["mx.lamp.example"]


@pytest.mark.parametrize(
    ("results", "trusted", "outcome"),
    [
        ([GOOGLE], ["mx.google.com"], "pass"),
        ([GOOGLE], OURS, ""),
        ([MICROSOFT], [""], "fail"),
        ([MICROSOFT], ["mx.google.com"], ""),
        (
            ["mx.lamp.example; spf=pass smtp.mailfrom=bounce@mail.oldworks.example"],
            ["mx.lamp.example"],
            "pass",
        ),
        (["mx.lamp.example; spf=pass smtp.mailfrom=x@evil.example"], OURS, "fail"),
        (["mx.lamp.example; dkim=temperror header.d=oldworks.example"], OURS, ""),
        (
            ["mx.lamp.example; dkim=fail header.d=a.example; dkim=pass header.d=oldworks.example"],
            ["mx.lamp.example"],
            "pass",
        ),
        (["mx.lamp.example; none"], OURS, ""),
        (["mx.lamp.example; dmarc=fail", "mx.evil.example; dmarc=pass"], OURS, "fail"),
        (["mx.evil.example; dmarc=pass", "mx.lamp.example; dmarc=fail"], OURS, ""),
        (
            ["mx.lamp.example; spf=fail smtp.mailfrom=x@a.example", "mx.lamp.example; dmarc=pass"],
            ["mx.lamp.example"],
            "pass",
        ),
        ([""], OURS, ""),
        (["(" * 5_000 + ";" * 5_000], OURS, ""),
        ([], OURS, ""),
    ],
)
def test_a_trusted_server_is_believed_and_nobody_else(results, trusted, outcome):
    assert by_results(results, ANA, trusted=trusted).outcome == outcome


# In the desk


@pytest.mark.django_db
@pytest.mark.parametrize(("peer", "outcome"), [("imap.gmail.com", "fail"), ("imap.example", "")])
def test_what_google_found_counts_for_mail_from_google(mailbox, peer, outcome):
    results = "Authentication-Results: mx.google.com; spf=fail smtp.mailfrom=x@evil.example; dmarc=fail\r\n"
    keep(results.encode() + letter(), door="imap", mail_from="", rcpt_to=MAILBOX, peer=peer)
    assert reading.read_next()

    part = Part.objects.select_related("raw_mail").get()
    assert part.raw_mail
    assert part.raw_mail.sender_verified == outcome


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("mail_from", "outcome"), [("a@here.example", "fail"), (ANA, "fail")])
def test_the_door_looks_at_strangers_before_it_keeps_their_mail(
    name_server, mailbox, settings, mail_from, outcome
):
    settings.ENVIRONMENT = replace(desk_settings.ENVIRONMENT, smtp_trusted=NOBODY, dns=name_server)
    with open_door() as opened, smtplib.SMTP("127.0.0.1", opened.port, timeout=PATIENCE) as client:
        client.sendmail(mail_from, [MAILBOX], letter())

    wait_until(lambda: RawMail.objects.exists())
    assert RawMail.objects.get().sender_verified == outcome


@pytest.mark.django_db(transaction=True)
def test_the_door_finds_a_sender_verified(name_server, mailbox, settings):
    settings.ENVIRONMENT = replace(desk_settings.ENVIRONMENT, smtp_trusted=NOBODY, dns=name_server)
    with open_door() as opened, smtplib.SMTP("127.0.0.1", opened.port, timeout=PATIENCE) as client:
        client.sendmail("a@here.example", [MAILBOX], letter(sender="Ana <ana@here.example>"))

    mail = RawMail.objects.get()
    assert (mail.sender_verified, mail.sender_verification) == (
        "pass",
        "here.example allows 127.0.0.1 to send its mail (SPF)",
    )
