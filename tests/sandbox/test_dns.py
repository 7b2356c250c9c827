"""What the sandbox's DNS server answers, over UDP and TCP: RFC 1035, 2308, 7505, 8020."""

from __future__ import annotations

import asyncio
import random
import struct

import dns.asyncquery
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from telltale.sandbox import Sandbox
from telltale.sandbox.dns import respond
from telltale.sandbox.hosts import DESK_DOMAIN, HOSTS, PROVIDER_DOMAINS
from telltale.sandbox.zone import build_zone
from tests.sandbox.client import PATIENCE, Desk

OVER = {"UDP": dns.asyncquery.udp, "TCP": dns.asyncquery.tcp}
OWN_EXCHANGERS = {
    "two-servers.sandbox.test": ["10 mx1.two-servers.sandbox.test.", "20 mx.postfix.sandbox.test."],
    "greeting-refused.sandbox.test": ["10 mx.greeting-refused.sandbox.test."],
    "greeting-slow.sandbox.test": ["10 mx.greeting-slow.sandbox.test."],
    "greeting-silent.sandbox.test": ["10 mx.greeting-silent.sandbox.test."],
    "unreachable.sandbox.test": ["10 mx.unreachable.sandbox.test."],
    "null-mx.sandbox.test": ["0 ."],  # RFC 7505
    DESK_DOMAIN: [f"10 mx.{DESK_DOMAIN}."],
}
EXCHANGERS = {
    domain: [f"10 mx.{provider}.sandbox.test."]
    for provider, domains in PROVIDER_DOMAINS.items()
    for domain in domains
} | OWN_EXCHANGERS


async def ask(sandbox: Sandbox, name: str, type_: str = "MX", *, over: str = "UDP") -> dns.message.Message:
    host, port = sandbox.dns_address
    query = dns.message.make_query(name, type_)
    return await OVER[over](query, host, port=port, timeout=PATIENCE)


def records(response: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text() for rrset in response.answer for rdata in rrset)


@pytest.mark.parametrize("over", OVER)
async def test_each_domain_names_its_mail_servers(sandbox: Sandbox, over: str) -> None:
    for domain, expected in EXCHANGERS.items():
        response = await ask(sandbox, domain, over=over)

        assert response.rcode() == dns.rcode.NOERROR
        assert response.flags & dns.flags.AA
        assert (domain, records(response)) == (domain, expected)


async def test_each_mail_host_has_an_address_and_says_at_which_port_it_listens(sandbox: Sandbox) -> None:
    assert set(sandbox.ports) == set(HOSTS)
    for host, port in sandbox.ports.items():
        assert records(await ask(sandbox, host, "A")) == ["127.0.0.1"]
        assert records(await ask(sandbox, f"_smtp._tcp.{host}", "SRV")) == [f"0 0 {port} {host}."]


async def test_the_desk_is_found_where_it_listens(sandbox: Sandbox, desk: Desk) -> None:
    found = await ask(sandbox, "_smtp._tcp.mx.lamp.example", "SRV")

    assert records(found) == [f"0 0 {desk.port} mx.lamp.example."]


async def test_letter_case_does_not_matter_and_is_sent_back_as_it_came(sandbox: Sandbox) -> None:
    response = await ask(sandbox, "GooGLE.Sandbox.TEST")

    assert [record.lower() for record in records(response)] == ["10 mx.google.sandbox.test."]
    assert str(response.question[0].name) == "GooGLE.Sandbox.TEST."


@pytest.mark.parametrize(
    ("name", "type_", "rcode"),
    [
        ("no-such-domain.sandbox.test", "MX", "NXDOMAIN"),
        ("nobody.example", "MX", "NXDOMAIN"),
        ("below.google.sandbox.test", "A", "NXDOMAIN"),
        ("no-mail-server.sandbox.test", "MX", "NOERROR"),  # it has another record
        ("no-mail-server.sandbox.test", "A", "NOERROR"),
        ("google.sandbox.test", "AAAA", "NOERROR"),
        ("sandbox.test", "MX", "NOERROR"),  # RFC 8020: something is below it, so it exists
        ("test", "MX", "NOERROR"),
    ],
)
async def test_a_no_comes_with_the_soa_that_says_how_long_it_holds(
    sandbox: Sandbox, name: str, type_: str, rcode: str
) -> None:
    response = await ask(sandbox, name, type_)

    assert dns.rcode.to_text(response.rcode()) == rcode
    assert response.answer == []
    [authority] = response.authority
    assert authority.rdtype == dns.rdatatype.SOA


@pytest.mark.parametrize("name", ["dns-broken.sandbox.test", "mx.dns-broken.sandbox.test"])
async def test_a_broken_domain_is_a_fault_of_the_server(sandbox: Sandbox, name: str) -> None:
    assert (await ask(sandbox, name)).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("name", ["gmail.com", "example.com", "sandbox.test.com", "localhost", "com", "."])
async def test_a_name_outside_test_and_example_is_never_looked_up(sandbox: Sandbox, name: str) -> None:
    for type_ in ("MX", "A", "NS", "ANY"):
        response = await ask(sandbox, name, type_)

        assert response.rcode() == dns.rcode.REFUSED
        assert [*response.answer, *response.authority, *response.additional] == []


async def test_a_silent_domain_gets_no_answer_while_others_do_over_udp(sandbox: Sandbox) -> None:
    silent, other = make_queries()
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagrams(heard), remote_addr=sandbox.dns_address
    )
    try:
        transport.sendto(silent.to_wire())
        transport.sendto(other.to_wire())
        async with asyncio.timeout(PATIENCE):
            first = dns.message.from_wire(await heard.get())
    finally:
        transport.close()

    assert first.id == other.id
    assert heard.empty()


async def test_a_silent_domain_gets_no_answer_while_others_do_over_tcp(sandbox: Sandbox) -> None:
    silent, other = make_queries()
    reader, writer = await asyncio.open_connection(*sandbox.dns_address)
    try:
        for query in (silent, other):
            octets = query.to_wire()
            writer.write(struct.pack("!H", len(octets)) + octets)
        async with asyncio.timeout(PATIENCE):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            first = dns.message.from_wire(await reader.readexactly(length))
    finally:
        writer.close()
        await writer.wait_closed()

    assert first.id == other.id


async def test_what_is_no_lookup_is_not_implemented(sandbox: Sandbox) -> None:
    host, port = sandbox.dns_address
    update = dns.update.UpdateMessage("test.")
    update.add("evil.test.", 300, "A", "192.0.2.1")
    response = await dns.asyncquery.udp(update, host, port=port, timeout=PATIENCE)

    assert response.rcode() == dns.rcode.NOTIMP
    assert response.opcode() == dns.opcode.UPDATE
    assert (await ask(sandbox, "evil.test", "A")).rcode() == dns.rcode.NXDOMAIN


def test_octets_that_are_no_query_get_no_answer_and_stop_nothing() -> None:
    zone, dice = build_zone({"mx.google.sandbox.test": 2600}), random.Random(7)
    query = dns.message.make_query("google.sandbox.test", "MX", use_edns=0, payload=1232).to_wire()
    for _ in range(500):
        octets = bytearray(query[: dice.randint(0, len(query))] if dice.random() < 0.3 else query)
        for place in dice.choices(range(len(octets)), k=3) if octets else ():
            octets[place] = dice.randrange(256)
        for udp in (True, False):
            respond(zone, bytes(octets), udp=udp)

    assert respond(zone, b"", udp=True) == b""
    assert respond(zone, dns.message.make_response(dns.message.from_wire(query)).to_wire(), udp=True) == b""


def test_an_answer_that_is_too_long_for_udp_is_cut_and_says_so() -> None:
    zone = build_zone({})
    zone.publish("many.test", "MX", *(f"10 mx{number}.many.test." for number in range(60)))
    query = dns.message.make_query("many.test", "MX").to_wire()
    cut, whole = (dns.message.from_wire(respond(zone, query, udp=udp)) for udp in (True, False))

    assert cut.flags & dns.flags.TC
    assert not whole.flags & dns.flags.TC
    assert len(records(whole)) == 60


def make_queries() -> tuple[dns.message.Message, dns.message.Message]:
    """One that gets no answer, and one that does."""
    silent = dns.message.make_query("dns-silent.sandbox.test", "MX", id=1)
    return silent, dns.message.make_query("google.sandbox.test", "MX", id=2)


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, heard: asyncio.Queue[bytes]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard.put_nowait(data)
