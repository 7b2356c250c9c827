"""Routes over a real name server on a real socket: aliases, loops, big answers, and each kind of failure."""

from __future__ import annotations

import pytest

from telltale.mail.report import Action
from telltale.smtp.route import Hop, NoRoute, NoRouteKind, mail_hops, make_resolver
from tests.smtp.name_server import name_server

MX = {
    ("example.org", "MX"): ["10 mx.example.org."],
    ("mx.example.org", "A"): ["192.0.2.1"],
    ("mx.example.org", "AAAA"): ["2001:db8::1"],
}


async def test_a_domain_that_is_an_alias_has_the_mail_hosts_of_its_target():
    records = MX | {("example.com", "CNAME"): ["example.org."]}
    async with name_server(records) as (_, resolver):
        hops = await mail_hops("example.com", resolver=resolver)

    assert hops == (
        Hop("mx.example.org", "2001:db8::1", 25, 10),
        Hop("mx.example.org", "192.0.2.1", 25, 10),
    )


async def test_a_mail_host_that_is_an_alias_is_reached_under_its_own_name():
    records = {
        ("example.org", "MX"): ["10 mx.example.org."],
        ("mx.example.org", "CNAME"): ["host7.example.net."],
        ("host7.example.net", "A"): ["192.0.2.7"],
    }
    async with name_server(records) as (_, resolver):
        assert await mail_hops("example.org", resolver=resolver) == (
            Hop("mx.example.org", "192.0.2.7", 25, 10),
        )


async def test_an_alias_that_leads_back_to_itself_ends_and_is_not_the_last_word():
    records = {
        ("example.org", "CNAME"): ["www.example.org."],
        ("www.example.org", "CNAME"): ["example.org."],
    }
    async with name_server(records) as (_, resolver):
        found = await mail_hops("example.org", resolver=resolver)

    assert isinstance(found, NoRoute)
    assert (found.kind, found.permanent) == (NoRouteKind.DNS_FAILURE, False)


async def test_an_answer_too_large_for_a_datagram_comes_whole_over_tcp():
    hosts = [f"mail-exchanger-number-{number}.a-rather-long-name.example.org" for number in range(40)]
    records = {("example.org", "MX"): [f"10 {host}." for host in hosts]}
    records |= {(host, "A"): ["192.0.2.1"] for host in hosts}
    async with name_server(records) as (server, resolver):
        hops = await mail_hops("example.org", resolver=resolver)

    assert isinstance(hops, tuple)
    assert len(hops) == 20  # as many as we try
    assert server.asked.count(("example.org", "MX")) == 2  # by UDP, then by TCP


@pytest.mark.parametrize(
    ("code", "kind", "action", "words"),
    [
        ("NXDOMAIN", NoRouteKind.NO_SUCH_DOMAIN, Action.FAILED, "does not exist"),
        ("SERVFAIL", NoRouteKind.DNS_FAILURE, Action.DELAYED, "SERVFAIL"),
        ("REFUSED", NoRouteKind.DNS_FAILURE, Action.DELAYED, "REFUSED"),
    ],
)
async def test_what_a_name_server_says_is_told_apart(code, kind, action, words):
    async with name_server(MX, codes={"example.org": code}) as (_, resolver):
        found = await mail_hops("example.org", resolver=resolver)

    assert isinstance(found, NoRoute)
    report = found.to_report("ana@example.org")
    assert (found.kind, report.action) == (kind, action)
    assert words in report.diagnostic_code.text


async def test_a_name_server_that_stays_silent_delays():
    async with name_server(MX, silent={"example.org"}) as (_, resolver):
        resolver.lifetime = 0.2
        found = await mail_hops("example.org", resolver=resolver)

    assert isinstance(found, NoRoute)
    assert (found.kind, found.permanent) == (NoRouteKind.DNS_NO_ANSWER, False)


async def test_a_mail_host_that_cannot_be_looked_up_leaves_the_mail_to_the_others():
    records = MX | {("example.org", "MX"): ["5 broken.example.org.", "10 mx.example.org."]}
    async with name_server(records, codes={"broken.example.org": "SERVFAIL"}) as (_, resolver):
        hops = await mail_hops("example.org", resolver=resolver)

    assert isinstance(hops, tuple)
    assert {hop.host for hop in hops} == {"mx.example.org"}


LOOP = {
    ("example.org", "MX"): ["10 best.example.org.", "20 desk.example.com.", "20 equal.example.org."],
    ("best.example.org", "A"): ["192.0.2.1"],
    ("equal.example.org", "A"): ["192.0.2.2"],
    ("desk.example.com", "A"): ["192.0.2.3"],
}


async def test_a_host_that_passes_mail_on_sends_only_to_hosts_that_are_better_than_itself():
    async with name_server(LOOP) as (_, resolver):
        hops = await mail_hops("example.org", resolver=resolver, our_name="DESK.example.com")

    assert hops == (Hop("best.example.org", "192.0.2.1", 25, 10),)


async def test_a_host_that_is_the_best_of_a_domain_does_not_send_to_itself():
    records = LOOP | {("example.org", "MX"): ["20 desk.example.com."]}
    async with name_server(records) as (_, resolver):
        found = await mail_hops("example.org", resolver=resolver, our_name="desk.example.com")

    assert isinstance(found, NoRoute)
    assert (found.kind, str(found.status)) == (NoRouteKind.MAIL_LOOP, "5.4.6")
    assert "desk.example.com is its best mail server" in found.text


@pytest.mark.parametrize(
    ("validated", "trusts_ad", "dnssec"),
    [
        (True, None, True),  # on loopback: nobody on the way could have said so
        (True, False, False),
        (False, True, False),
    ],
)
async def test_only_a_trusted_name_server_says_what_was_validated(validated, trusts_ad, dnssec):
    async with name_server(MX, validated=validated, trusts_ad=trusts_ad) as (_, resolver):
        hops = await mail_hops("example.org", resolver=resolver)

    assert isinstance(hops, tuple)
    assert {hop.dnssec for hop in hops} == {dnssec}


@pytest.mark.parametrize(("address", "trusted"), [("127.0.0.53", True), ("::1", True), ("192.0.2.53", False)])
def test_a_name_server_across_the_network_is_not_trusted_unless_somebody_says_so(address, trusted):
    assert make_resolver((address, 53)).trusts_ad is trusted
    assert make_resolver((address, 53), trusts_ad=True).trusts_ad
