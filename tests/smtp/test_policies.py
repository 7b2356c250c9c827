"""What a domain asks of those who send to it: MTA-STS over a real HTTPS server, DANE over a real name server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from telltale.smtp.mta_sts import Finding, MemoryStore, Mode, MtaSts, StoredPolicy, StsPolicy
from telltale.smtp.route import MailResolver
from telltale.smtp.tls import OPPORTUNISTIC, Need
from telltale.smtp.ways import Route, direct_route
from tests.smtp.certificates import Workshop
from tests.smtp.name_server import Records, name_server

POLICY = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmx: *.backup.example\r\nmax_age: 604800\r\n"
)
START = datetime(2026, 11, 2, 12, tzinfo=UTC)
RECORDS: Records = {
    ("example.org", "MX"): ["10 mx.example.org.", "20 mx2.example.org."],
    ("mx.example.org", "A"): ["127.0.0.1"],
    ("mx2.example.org", "A"): ["127.0.0.1"],
    ("_mta-sts.example.org", "TXT"): ['"v=STSv1; id=20261102"'],
    ("mta-sts.example.org", "A"): ["127.0.0.1"],
}


class PolicyHost:
    """An HTTPS server that answers every request with `answer`, whatever octets those are."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.port = 0
        self.hangs_up = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
            if not self.hangs_up:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has enough
        finally:
            writer.transport.abort() if not self.hangs_up else writer.close()


def response(body: bytes, *, status: str = "200 OK", header: str = "Content-Type: text/plain") -> bytes:
    return f"HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def policy_host(tls: Any, answer: bytes) -> AsyncIterator[PolicyHost]:
    host = PolicyHost(answer)
    listener = await asyncio.start_server(host.serve, "127.0.0.1", 0, ssl=tls)
    host.port = listener.sockets[0].getsockname()[1]
    yield host
    listener.close()
    await listener.wait_closed()


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class World:
    """A domain with a policy host, and somebody who looks for its policy."""

    def __init__(self, host: PolicyHost, records: Records, resolver: MailResolver, sts: MtaSts) -> None:
        self.host, self.records, self.resolver, self.sts = host, records, resolver, sts
        self.clock = sts._clock

    async def find(self) -> Finding:
        return await self.sts.find("example.org")


@asynccontextmanager
async def world(
    certificates: Workshop,
    answer: bytes,
    *,
    records: Records | None = None,
    host_name: str = "mta-sts.example.org",
    seconds: float = 5,
) -> AsyncIterator[World]:
    tls = certificates.server(certificates.signed(host_name))
    records = dict(RECORDS | (records or {}))
    async with policy_host(tls, answer) as host, name_server(records) as (_, resolver):
        sts = MtaSts(
            resolver, authorities=certificates.client, port=host.port, seconds=seconds, clock=Clock()
        )
        yield World(host, records, resolver, sts)
        await sts.close()


async def test_a_published_policy_is_fetched_once_and_kept(certificates: Workshop) -> None:
    async with world(certificates, response(POLICY)) as sts:
        first, second = await asyncio.gather(sts.find(), sts.find())
        third = await sts.find()

    assert first == second == third
    assert first.policy == StsPolicy(Mode.ENFORCE, ("mx.example.org", "*.backup.example"), 604800)
    [request] = sts.host.requests
    assert request.startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.example.org\r\n")


async def test_a_policy_in_chunks_is_read(certificates: Workshop) -> None:
    chunks = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (POLICY[:20], POLICY[20:])) + b"0\r\n\r\n"
    )
    async with world(certificates, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) as sts:
        assert (await sts.find()).policy


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (
            response(b"", status="301 Moved", header="Location: https://example.net/"),
            "the answer was 301 Moved",
        ),
        (response(b"no", status="404 Not Found"), "the answer was 404 Not Found"),
        (response(b"version: STSv2\r\n"), "it does not say version: STSv1"),
        (response(POLICY.replace(b"enforce", b"force")), "it has no mode that RFC 8461 knows, but 'force'"),
        (response(POLICY.replace(b"mx:", b"my:")), "it names no mx"),
        (response(POLICY.replace(b"604800", b"a week")), "its max_age is no number of seconds, but 'a week'"),
        (response(b"#" * 70_000 + POLICY), "it is larger than 65,536 octets"),
        (response(b"#" * 7_000_000), "it is larger than 65,536 octets"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"", "example.org has a policy that could not be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nversion: STSv1", "IncompleteRead"),
    ],
)
async def test_a_policy_that_cannot_be_read_is_none_and_we_say_why(
    certificates: Workshop, answer: bytes, why: str
) -> None:
    async with world(certificates, answer) as sts:
        found = await sts.find()

    assert found.policy is None
    assert found.text.startswith("MTA-STS: example.org has a policy that could not be read")
    assert why in found.text


async def test_a_policy_host_with_another_name_in_its_certificate_is_none(certificates: Workshop) -> None:
    async with world(certificates, response(POLICY), host_name="www.example.org") as sts:
        found = await sts.find()

    assert found.policy is None
    assert "Hostname mismatch" in found.text


async def test_a_policy_host_that_stalls_does_not_hold_the_mail_up(certificates: Workshop) -> None:
    async with world(certificates, b"HTTP/1.1 200 OK\r\n", seconds=0.3) as sts:
        sts.host.hangs_up = False
        found = await sts.find()

    assert found == Finding(
        None,
        "MTA-STS: example.org has a policy that could not be read"
        " (mta-sts.example.org took longer than 0.3 seconds); going on without",
    )


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ['"v=spf1 -all"'],
        ['"v=STSv1; id=1"', '"v=STSv1; id=2"'],  # RFC 8461 section 3.1: two are none
        ['"v=STSv1; id=not-alphanumeric"'],
        ['"v=STSv1"'],
    ],
)
async def test_a_domain_without_one_record_is_not_asked_for_its_policy(certificates: Workshop, texts) -> None:
    async with world(certificates, response(POLICY), records={("_mta-sts.example.org", "TXT"): texts}) as sts:
        assert await sts.find() == Finding()

    assert sts.host.requests == []


async def test_a_record_in_pieces_and_among_others_is_found(certificates: Workshop) -> None:
    texts = ['"verification=1"', '"v=STSv1; " "id=1;"']
    async with world(certificates, response(POLICY), records={("_mta-sts.example.org", "TXT"): texts}) as sts:
        assert (await sts.find()).policy


async def test_a_new_id_brings_the_new_policy(certificates: Workshop) -> None:
    async with world(certificates, response(POLICY)) as sts:
        await sts.find()
        sts.host.answer = response(POLICY.replace(b"enforce", b"testing"))
        sts.records["_mta-sts.example.org", "TXT"] = ['"v=STSv1; id=20261103"']
        before = await sts.find()  # looked at a moment ago
        sts.clock.now += timedelta(minutes=6)
        after = await sts.find()

    assert before.policy
    assert after.policy
    assert (before.policy.mode, after.policy.mode) == (Mode.ENFORCE, Mode.TESTING)


async def test_a_policy_holds_while_it_lasts_though_dns_and_https_are_gone(certificates: Workshop) -> None:
    """Whoever sits on the line must not get rid of a policy by swallowing answers: RFC 8461 section 10.2."""
    async with world(certificates, response(POLICY)) as sts:
        await sts.find()
        del sts.records["_mta-sts.example.org", "TXT"]
        sts.clock.now += timedelta(days=6)
        without_record = await sts.find()
        sts.records["_mta-sts.example.org", "TXT"] = ['"v=STSv1; id=20261103"']
        sts.host.answer = b""
        sts.clock.now += timedelta(hours=1)
        unreadable = await sts.find()
        sts.clock.now += timedelta(days=1)
        run_out = await sts.find()

    assert without_record.policy == unreadable.policy
    assert unreadable.policy
    assert unreadable.text.endswith("; the one from before still holds")
    assert run_out.policy is None


async def test_policies_can_be_kept_elsewhere(certificates: Workshop) -> None:
    store = MemoryStore(most=1)
    async with world(certificates, response(POLICY)) as sts:
        kept = MtaSts(
            sts.resolver, store=store, authorities=certificates.client, port=sts.host.port, clock=sts.clock
        )
        found = await kept.find("example.org")

    stored = await store.get("example.org")
    assert stored == StoredPolicy(found.policy, "20261102", START)
    await store.put("example.net", stored)
    assert await store.get("example.org") is None  # there is room for one


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("mx.example.org", True),
        ("MX.Example.ORG", True),
        ("mx.example.org.evil.example", False),
        ("a.backup.example", True),
        ("a.b.backup.example", False),  # "*" is one label
        ("backup.example", False),
    ],
)
def test_which_hosts_a_policy_names(host: str, fits: bool) -> None:
    assert StsPolicy.parse(POLICY).matches(host) is fits


def test_a_policy_of_none_needs_no_hosts() -> None:
    assert StsPolicy.parse(b"version: STSv1\nmode: none\nmax_age: 99999999\n") == StsPolicy(
        Mode.NONE, (), 31_557_600
    )


# What becomes of the policies on the way.


async def route(sts: World) -> Route:
    found = await direct_route("example.org", resolver=sts.resolver, sts=sts.sts, port=2525)
    assert isinstance(found, Route)
    return found


async def test_enforced_a_named_host_must_verify_and_a_stranger_gets_nothing(certificates: Workshop) -> None:
    async with world(certificates, response(POLICY)) as sts:
        named, stranger = (await route(sts)).ways

    assert (named.hop.host, named.policy.need) == ("mx.example.org", Need.VERIFIED)
    assert (stranger.hop.host, stranger.policy.need) == ("mx2.example.org", Need.IMPOSSIBLE)
    assert stranger.policy.because == (
        "the MTA-STS policy of example.org does not name this host, but mx.example.org, *.backup.example"
    )


async def test_in_testing_a_stranger_gets_the_mail_and_the_transcript_says_so(certificates: Workshop) -> None:
    async with world(certificates, response(POLICY.replace(b"enforce", b"testing"))) as sts:
        found = await route(sts)

    assert {way.policy for way in found.ways} == {OPPORTUNISTIC}
    assert found.found == (
        "MTA-STS: the policy of example.org, which is in testing, does not name mx2.example.org",
    )


@pytest.mark.parametrize("answer", [response(b"version: STSv1\nmode: none\nmax_age: 1\n"), b""])
async def test_without_a_policy_tls_is_opportunistic(certificates: Workshop, answer: bytes) -> None:
    async with world(certificates, answer) as sts:
        assert {way.policy for way in (await route(sts)).ways} == {OPPORTUNISTIC}


EE = "3 1 1 " + "ab" * 32
PKIX = "1 1 1 " + "ab" * 32


@pytest.mark.parametrize(
    ("validated", "tlsa", "needs"),
    [
        (True, [EE], [Need.DANE, Need.OPPORTUNISTIC]),
        (True, [EE, PKIX], [Need.DANE, Need.OPPORTUNISTIC]),
        (True, [PKIX], [Need.ENCRYPTED, Need.OPPORTUNISTIC]),  # RFC 7672 section 2.2
        (True, [], [Need.OPPORTUNISTIC, Need.OPPORTUNISTIC]),
        (False, [EE], [Need.OPPORTUNISTIC, Need.OPPORTUNISTIC]),  # anybody could have said so
    ],
)
async def test_tlsa_records_count_where_they_were_validated(
    validated: bool, tlsa: list[str], needs: list[Need]
):
    records = RECORDS | {("_2525._tcp.mx.example.org", "TLSA"): tlsa}
    async with name_server(records, validated=validated) as (_, resolver):
        found = await direct_route("example.org", resolver=resolver, port=2525)

    assert isinstance(found, Route)
    assert [way.policy.need for way in found.ways] == needs


async def test_a_host_whose_tlsa_records_cannot_be_looked_up_gets_nothing() -> None:
    """Who can stop the look-up must not win by it: RFC 7672 section 2.1.2."""
    codes = {"_2525._tcp.mx.example.org": "SERVFAIL"}
    async with name_server(RECORDS, codes=codes, validated=True) as (_, resolver):
        found = await direct_route("example.org", resolver=resolver, port=2525)

    assert isinstance(found, Route)
    first, second = found.ways
    assert (first.policy.need, second.policy.need) == (Need.IMPOSSIBLE, Need.OPPORTUNISTIC)
    assert "its TLSA records (DANE) could not be looked up" in first.policy.because


async def test_without_dnssec_nobody_asks_for_tlsa_records() -> None:
    async with name_server(RECORDS) as (server, resolver):
        await direct_route("example.org", resolver=resolver, port=2525)

    assert [rdtype for _, rdtype in server.asked if rdtype == "TLSA"] == []


async def test_dane_goes_before_mta_sts(certificates: Workshop) -> None:
    tls = certificates.server(certificates.signed("mta-sts.example.org"))
    records = RECORDS | {("_2525._tcp.mx2.example.org", "TLSA"): [EE]}
    async with (
        policy_host(tls, response(POLICY)) as host,
        name_server(records, validated=True) as (_, resolver),
    ):
        sts = MtaSts(resolver, authorities=certificates.client, port=host.port)
        found = await direct_route("example.org", resolver=resolver, sts=sts, port=2525)
        await sts.close()

    assert isinstance(found, Route)
    assert [(way.hop.host, way.policy.need) for way in found.ways] == [
        ("mx.example.org", Need.VERIFIED),
        ("mx2.example.org", Need.DANE),  # though the policy does not name it
    ]


async def test_an_address_literal_has_no_policies(certificates: Workshop) -> None:
    async with world(certificates, response(POLICY)) as sts:
        found = await direct_route("[192.0.2.1]", resolver=sts.resolver, sts=sts.sts)

    assert isinstance(found, Route)
    assert [way.policy for way in found.ways] == [OPPORTUNISTIC]
