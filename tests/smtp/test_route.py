"""Where to connect for a domain: RFC 5321 section 5.1, RFC 7505; DNS failures told apart."""

from __future__ import annotations

from random import Random
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from telltale.mail.report import Action, Stage
from telltale.smtp.route import Hop, NoRoute, NoRouteKind, Relay, mail_hops, relay_hops


class Zone:
    """A resolver that answers from a table: (name, type) to records, or to what it raises."""

    def __init__(self, records: dict[tuple[str, str], Any]) -> None:
        self._records = records
        self._names = {name for name, _ in records}

    async def resolve(self, qname: str, rdtype: str, /) -> dns.resolver.Answer:
        name = qname.removesuffix(".")
        found = self._records.get((name, rdtype))
        if isinstance(found, dns.exception.DNSException):
            raise found
        query = dns.message.make_query(qname, rdtype)
        response = dns.message.make_response(query)
        if found is None and name not in self._names:
            raise dns.resolver.NXDOMAIN(
                qnames=[query.question[0].name], responses={query.question[0].name: response}
            )
        if found is None:
            raise dns.resolver.NoAnswer(response=response)
        response.answer = [dns.rrset.from_text(qname, 300, "IN", rdtype, *found)]
        return dns.resolver.Answer(
            query.question[0].name,
            dns.rdatatype.from_text(rdtype),
            dns.rdataclass.IN,
            dns.message.from_wire(response.to_wire()),
        )


async def route(
    domain: str, records: dict[tuple[str, str], Any], **options: Any
) -> tuple[Hop, ...] | NoRoute:
    return await mail_hops(domain, resolver=Zone(records), **options)


async def test_mx_hosts_come_by_preference_and_ipv6_before_ipv4():
    hops = await route(
        "example.org",
        {
            ("example.org", "MX"): ["20 backup.example.org.", "10 mx.example.org."],
            ("mx.example.org", "A"): ["192.0.2.1"],
            ("mx.example.org", "AAAA"): ["2001:db8::1"],
            ("backup.example.org", "A"): ["192.0.2.2"],
        },
    )

    assert hops == (
        Hop("mx.example.org", "2001:db8::1", 25, 10),
        Hop("mx.example.org", "192.0.2.1", 25, 10),
        Hop("backup.example.org", "192.0.2.2", 25, 20),
    )


async def test_hosts_of_one_preference_take_turns():
    records = {("example.org", "MX"): [f"10 mx{number}.example.org." for number in range(4)]}
    records |= {(f"mx{number}.example.org", "A"): [f"192.0.2.{number}"] for number in range(4)}

    firsts = {(await route("example.org", records, random=Random(seed)))[0].host for seed in range(40)}

    assert len(firsts) == 4


async def test_without_mx_the_domain_itself_is_the_host():
    hops = await route("example.org", {("example.org", "A"): ["192.0.2.1"]})

    assert hops == (Hop("example.org", "192.0.2.1", 25, 0),)


async def test_a_host_without_address_is_passed_over():
    records = {
        ("example.org", "MX"): ["10 gone.example.org.", "20 mx.example.org."],
        ("mx.example.org", "A"): ["192.0.2.1"],
    }

    assert await route("example.org", records) == (Hop("mx.example.org", "192.0.2.1", 25, 20),)


@pytest.mark.parametrize(
    ("records", "kind", "action", "status"),
    [
        ({}, NoRouteKind.NO_SUCH_DOMAIN, Action.FAILED, "5.1.2"),
        ({("example.org", "MX"): ["0 ."]}, NoRouteKind.NULL_MX, Action.FAILED, "5.1.10"),
        ({("example.org", "TXT"): ["x"]}, NoRouteKind.NO_MAIL_SERVER, Action.FAILED, "5.4.4"),
        (
            {("example.org", "MX"): ["10 gone.example.org."]},
            NoRouteKind.NO_MAIL_SERVER,
            Action.FAILED,
            "5.4.4",
        ),
        (
            {("example.org", "MX"): dns.resolver.LifetimeTimeout(timeout=15, errors=[])},
            NoRouteKind.DNS_NO_ANSWER,
            Action.DELAYED,
            "4.4.3",
        ),
        (
            {
                ("example.org", "MX"): dns.resolver.NoNameservers(
                    request=dns.message.make_query("example.org", "MX"), errors=[]
                )
            },
            NoRouteKind.DNS_FAILURE,
            Action.DELAYED,
            "4.4.3",
        ),
        (  # the MX is there, but one of its hosts could not be looked up: that is not the last word
            {
                ("example.org", "MX"): ["10 mx.example.org."],
                ("mx.example.org", "A"): dns.resolver.LifetimeTimeout(timeout=15, errors=[]),
            },
            NoRouteKind.DNS_NO_ANSWER,
            Action.DELAYED,
            "4.4.3",
        ),
    ],
)
async def test_why_there_is_no_way_is_told_apart(records, kind, action, status):
    found = await route("example.org", records)

    assert isinstance(found, NoRoute)
    report = found.to_report("anna@example.org")
    assert (found.kind, report.action, str(report.status)) == (kind, action, status)
    assert (report.diagnostic_code.type, report.stage) == ("x-local", Stage.DNS)


async def test_the_sandbox_says_by_srv_where_its_hosts_listen():
    records = {
        ("google.sandbox.test", "MX"): ["10 mx.google.sandbox.test."],
        ("mx.google.sandbox.test", "A"): ["127.0.0.1"],
        ("_smtp._tcp.mx.google.sandbox.test", "SRV"): ["0 0 2526 mx.google.sandbox.test."],
    }

    [asked] = await route("google.sandbox.test", records, ports_from_srv=True)
    [not_asked] = await route("google.sandbox.test", records)

    assert (asked.port, not_asked.port) == (2526, 25)


async def test_an_internationalised_domain_is_looked_up_in_a_labels():
    records = {("xn--bcher-kva.example", "A"): ["192.0.2.1"]}

    [hop] = await route("bücher.example", records)

    assert hop.host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("literal", "address"), [("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1")]
)
async def test_an_address_literal_says_itself_where_to_connect(literal: str, address: str):
    [hop] = await route(literal, {})

    assert hop.address == address


async def test_a_relay_is_found_as_the_system_finds_it():
    assert await relay_hops(Relay("127.0.0.1", 2525)) == (Hop("127.0.0.1", "127.0.0.1", 2525),)


async def test_a_relay_without_address_is_never_the_messages_end():
    found = await relay_hops(Relay("no relay", 2525))

    assert isinstance(found, NoRoute)
    assert not found.permanent
