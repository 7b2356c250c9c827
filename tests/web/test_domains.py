"""Settings, sending domains: keys are made, their records looked up, put to use and retired."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.urls import reverse

from telltale.config.environment import HostPort
from telltale.conversations import dkim_keys
from telltale.conversations.models import DkimKey
from telltale.mail.dkim import in_strings
from telltale.sandbox.dns import DnsServer, Zone

DOMAIN = "lamp.example"


@pytest.fixture
def zone(settings) -> Iterator[Zone]:
    """The domain name system of a test, in which nothing is published yet."""
    zone = Zone("example.")
    server, loop = DnsServer(zone), asyncio.new_event_loop()
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, dns=HostPort(*server.address))
    yield zone
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def desk(client, agent, mailbox, zone):
    client.force_login(agent)
    return client


def page(desk) -> str:
    return desk.get(reverse("domain", kwargs={"domain": DOMAIN})).content.decode()


def do(desk, what: str, domain: str = DOMAIN):
    return desk.post(reverse(f"domain-{what}", kwargs={"domain": domain}), follow=True)


def test_the_list_has_the_domain_of_each_mailbox(desk):
    assert "not signed" in desk.get(reverse("domains")).content.decode()

    dkim_keys.make_keys(DOMAIN)
    dkim_keys.start_signing(DOMAIN)

    assert "signed since" in desk.get(reverse("domains")).content.decode()


def test_keys_are_made_and_their_records_stand_there_to_be_copied(desk):
    answer = do(desk, "keys").content.decode()

    rsa, _ = DkimKey.objects.order_by("id")
    assert rsa.name in answer
    assert rsa.record in answer
    assert in_strings(rsa.record).replace('"', "&quot;") in answer
    assert answer.count("not in DNS yet") == 2
    assert rsa.private_key not in answer


def test_a_record_that_is_published_is_found_however_it_is_split(desk, zone):
    for key in dkim_keys.make_keys(DOMAIN):
        zone.publish(key.name, "TXT", in_strings(key.record.replace("p=", "t=s; p=")))

    assert page(desk).count("found in DNS") == 2


def test_another_key_in_dns_is_shown_beside_ours(desk, zone):
    [key, _] = dkim_keys.make_keys(DOMAIN)
    zone.publish(key.name, "TXT", '"v=DKIM1; p=b3RoZXI= <b>"')

    answer = page(desk)

    assert "another key is in DNS" in answer
    assert "v=DKIM1; p=b3RoZXI= &lt;b&gt;" in answer


def test_a_name_server_that_fails_is_not_taken_for_a_missing_record(desk, zone):
    import dns.name

    zone.broken.add(dns.name.from_text(DOMAIN))
    dkim_keys.make_keys(DOMAIN)

    answer = page(desk)

    assert "not in DNS yet" not in answer
    assert "DNS did not answer" in answer


def test_started_the_keys_sign_and_new_ones_replace_them(desk):
    do(desk, "keys")
    assert "is signed from now on" in do(desk, "signing").content.decode()
    first = {signer.selector for signer in dkim_keys.signers()[DOMAIN]}

    do(desk, "keys")
    answer = do(desk, "signing").content.decode()

    assert first.isdisjoint(signer.selector for signer in dkim_keys.signers()[DOMAIN])
    assert "Retired keys" in answer
    assert all(selector in answer for selector in first)


def test_signing_without_new_keys_says_what_to_do_first(desk):
    assert "Make keys first" in do(desk, "signing").content.decode()


def test_signing_can_be_stopped(desk):
    do(desk, "keys")
    do(desk, "signing")

    assert "is not signed" in do(desk, "retirement").content.decode()
    assert dkim_keys.signers() == {}


def test_new_keys_can_be_discarded(desk):
    do(desk, "keys")

    do(desk, "removal")

    assert not DkimKey.objects.exists()


def test_spf_and_dmarc_are_shown_as_dns_has_them(desk, zone):
    zone.publish(DOMAIN, "TXT", '"v=spf1 mx -all"', '"google-site-verification=1"')

    answer = page(desk)

    assert "v=spf1 mx -all" in answer
    assert "google-site-verification" not in answer
    assert "v=DMARC1; p=none" in answer  # what to begin with


def test_a_domain_that_is_not_ours_has_no_page(desk):
    assert desk.get(reverse("domain", kwargs={"domain": "else.example"})).status_code == 404
    assert do(desk, "keys", "else.example").status_code == 404
    assert not DkimKey.objects.exists()


@pytest.mark.parametrize("address", ["domains", "mailboxes"])
def test_only_admins_see_the_settings(client, colleague, mailbox, address):
    client.force_login(colleague)

    assert client.get(reverse(address)).status_code == 403
    assert client.post(reverse("domain-keys", kwargs={"domain": DOMAIN})).status_code == 403
