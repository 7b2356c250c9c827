"""Each address of the catalogue meets the fate that the page promises, at the moment that it promises.

A client looks the domain up, connects, and goes no further than the promised moment: what is to happen "when the
recipient is named" must be there before any DATA is said.
"""

from __future__ import annotations

import time
from collections import Counter
from enum import StrEnum

import dns.asyncresolver
import dns.resolver
import pytest

from telltale.bounce import explain, read
from telltale.bounce.returned import Kind as ReadAs
from telltale.mail.reply import SmtpReply
from telltale.mail.report import RecipientReport
from telltale.sandbox import Row, Sandbox, catalogue
from telltale.sandbox.scenarios import CUSTOMERS, SCENARIOS
from telltale.sandbox.timings import Timings
from tests.sandbox.client import MESSAGE, Client, Clock, Desk, client_of
from tests.sandbox.conftest import QUICK

AT_RCPT = "at once, when the recipient is named"
AT_DATA = "before the content"
AT_CONTENT = "after the content"
LATER = "some seconds after it was accepted"
AT_CONNECT = "when we connect"
NEVER = "before a server is met"


class Fate(StrEnum):
    ACCEPTED = "2"
    PUT_OFF = "4"
    REFUSED = "5"
    LOST = ""  # the connection is closed without a word
    SILENT = "silent"  # the connection stays and no word comes


# Local part -> when, what comes of one try after the other, the reasons that may be read in the words.
PROMISES: dict[str, tuple[str, tuple[Fate, ...], set[str]]] = {
    "anna": (AT_CONTENT, (Fate.ACCEPTED,), set()),
    "no-such-user": (AT_RCPT, (Fate.REFUSED,), {"user_unknown"}),
    "full": (AT_RCPT, (Fate.REFUSED,), {"mailbox_full"}),
    "disabled": (AT_RCPT, (Fate.REFUSED,), {"mailbox_disabled"}),
    "policy": (AT_CONTENT, (Fate.REFUSED,), {"recipient_policy", "policy"}),
    "spam": (AT_CONTENT, (Fate.REFUSED,), {"spam_content", "content_rejected"}),
    "too-large": (AT_CONTENT, (Fate.REFUSED,), {"message_too_large"}),
    "refuse-data": (AT_DATA, (Fate.REFUSED,), set()),
    "blocklisted": (AT_RCPT, (Fate.REFUSED,), {"ip_blocklisted", "ip_reputation"}),
    "auth": (AT_CONTENT, (Fate.REFUSED,), {"auth_missing", "auth_dmarc"}),
    "rate-limited": (AT_RCPT, (Fate.PUT_OFF, Fate.PUT_OFF, Fate.ACCEPTED), set()),
    "greylist": (AT_RCPT, (Fate.PUT_OFF, Fate.ACCEPTED), {"greylisted"}),
    "temporary": (AT_RCPT, (Fate.PUT_OFF,) * 4, {"system_error", "system_busy"}),
    "421-always": (AT_RCPT, (Fate.PUT_OFF,) * 4, set()),
    "bare-550": (AT_RCPT, (Fate.REFUSED,), {"unknown"}),
    "no-route": (AT_RCPT, (Fate.REFUSED,), {"no_route"}),
    "slow": (AT_RCPT, (Fate.ACCEPTED,), set()),
    "silent": (AT_RCPT, (Fate.SILENT,), set()),
    "drop-at-rcpt": (AT_RCPT, (Fate.LOST,), set()),
    "drop-in-data": (AT_DATA, (Fate.LOST,), set()),
    "drop-after-data": (AT_CONTENT, (Fate.LOST,), set()),
    "bounce-later": (LATER, (Fate.ACCEPTED,), {"user_unknown"}),
    "full-later": (LATER, (Fate.ACCEPTED,), {"mailbox_full"}),
    "expired": (LATER, (Fate.ACCEPTED,), {"expired"}),
    "delayed-later": (LATER, (Fate.ACCEPTED,), set()),
    "delivered-later": (LATER, (Fate.ACCEPTED,), set()),
    "vacation": (LATER, (Fate.ACCEPTED,), set()),
}
OF_ITS_OWN = {  # Google keeps mail for a full mailbox waiting, and refuses it only once nobody has come for long
    "full@google.sandbox.test": (Fate.PUT_OFF,) * 4,
}
FOLLOWED_BY = {
    "bounce-later": ReadAs.BOUNCE,
    "full-later": ReadAs.BOUNCE,
    "expired": ReadAs.BOUNCE,
    "delayed-later": ReadAs.DELAYED,
    "delivered-later": ReadAs.DELIVERED,
    "vacation": ReadAs.AUTOREPLY,
}
ROWS = {row.address: row for row in catalogue()}
OF_PROVIDERS = [row for row in ROWS.values() if row.provider != "Domains"]


def test_the_catalogue_has_each_scenario_of_each_provider_and_nothing_twice() -> None:
    counted = Counter(row.address.partition("@")[0] for row in OF_PROVIDERS)

    assert len(ROWS) == len(catalogue())
    assert set(counted) == set(PROMISES) == {s.name for s in SCENARIOS} - {"accept"} | {"anna"}
    assert set(counted.values()) == {len({row.provider for row in OF_PROVIDERS})}
    assert {row.address for row in ROWS.values()} - {row.address for row in OF_PROVIDERS} == set(OF_DOMAINS)


def test_the_seconds_that_the_page_names_are_those_of_a_demo() -> None:
    spoken_of = [row for row in ROWS.values() if "ten seconds" in row.what]

    assert {row.address.partition("@")[2] for row in spoken_of} >= {"greeting-slow.sandbox.test"}
    assert Timings().slow == 10


@pytest.mark.parametrize("row", OF_PROVIDERS, ids=lambda row: row.address)
async def test_each_address_meets_what_the_page_promises(
    sandbox: Sandbox, desk: Desk, clock: Clock, row: Row
) -> None:
    when, fates, reasons = PROMISES[row.address.partition("@")[0]]
    assert row.when == when
    began, last_refusal = time.monotonic(), b""
    for fate in OF_ITS_OWN.get(row.address, fates):
        reply = await one_try(sandbox, row, fate)
        last_refusal = last_refusal if fate is Fate.ACCEPTED else reply
        clock.advance(QUICK.greylist)

    is_kept = sandbox.messages_for(row.address) != []
    assert is_kept == (Fate.ACCEPTED in fates)
    assert time.monotonic() - began >= (QUICK.slow if row.address.startswith("slow@") else 0)
    await assert_that_is_read(reasons, row, last_refusal, desk)


async def one_try(sandbox: Sandbox, row: Row, fate: Fate) -> bytes:
    """A session as far as the promised moment; the last reply."""
    [port] = await ports_for(sandbox, row.address)
    async with client_of(port) as client:
        if fate is Fate.SILENT:
            await assert_silence(client, sandbox, row)
            return b""
        reply = await client.begin(row.address)
        if row.when != AT_RCPT or fate is Fate.ACCEPTED:
            assert reply.startswith(b"250")
            reply = await answer_to_data(client) if row.when == AT_DATA else await client.hand_over()
        assert reply[:1].decode() == fate
        if reply.startswith(b"421"):
            assert await client.rest() == b""
        return reply


async def answer_to_data(client: Client) -> bytes:
    """A refusal of DATA, or what is said behind a 354, where the content has a beginning and no end."""
    reply = await client.say("DATA")
    if not reply.startswith(b"354"):
        return reply
    await client.send(MESSAGE[:10])
    return await client.hear()


async def assert_silence(client: Client, sandbox: Sandbox, row: Row) -> None:
    await client.hello()
    await client.say("MAIL FROM:<>")
    await client.send(f"RCPT TO:<{row.address}>\r\n".encode())
    await sandbox.wait_for("lost", recipient=row.address)
    assert await client.hang_up() == b""


async def assert_that_is_read(reasons: set[str], row: Row, refusal: bytes, desk: Desk) -> None:
    """The desk's own reader finds in the words what the page says of them."""
    report = None
    if refusal:
        reply = SmtpReply.from_wire(refusal)
        report = RecipientReport.from_reply(
            reply, recipient=row.address, remote_mta=f"mx.{row.address.partition('@')[2]}"
        )
    if followed_by := FOLLOWED_BY.get(row.address.partition("@")[0]):
        returned = read((await desk.next_letter()).content)
        assert returned.kind is followed_by
        report = next(iter(returned.reports), None)
    assert not reasons or (report and explain(report).reason in reasons), report


@pytest.mark.parametrize("address", [*CUSTOMERS, "omar@outlook.example", "tom@icloud.example"])
async def test_each_sample_customer_meets_the_fate_of_his_scenario(sandbox: Sandbox, address: str) -> None:
    _, fates, _ = PROMISES[CUSTOMERS.get(address, "anna")]
    [port] = await ports_for(sandbox, address)
    async with client_of(port) as client:
        reply = await client.begin(address)

    assert reply[:1].decode() == fates[0]


# Domains where something is wrong before any recipient is named


async def greeting_is_refused(sandbox: Sandbox, address: str) -> None:
    [port] = await ports_for(sandbox, address)
    async with client_of(port) as client:
        assert (await client.rest()).startswith(b"554 ")


async def greeting_is_slow(sandbox: Sandbox, address: str) -> None:
    began = time.monotonic()
    [port] = await ports_for(sandbox, address)
    async with client_of(port) as client:
        assert (await client.deliver(address)).startswith(b"250")
    assert time.monotonic() - began >= QUICK.slow


async def greeting_is_silent(sandbox: Sandbox, address: str) -> None:
    [port] = await ports_for(sandbox, address)
    async with client_of(port) as client:
        await sandbox.wait_for("lost")
        assert await client.hang_up() == b""


async def second_server_accepts(sandbox: Sandbox, address: str) -> None:
    first, second = await ports_for(sandbox, address)
    async with client_of(first) as client:
        assert (await client.rest()).startswith(b"421 ")
    async with client_of(second) as client:
        assert (await client.deliver(address)).startswith(b"250")


async def port_is_closed(sandbox: Sandbox, address: str) -> None:
    [port] = await ports_for(sandbox, address)
    with pytest.raises(ConnectionRefusedError):
        async with client_of(port):
            pass


async def takes_no_mail(sandbox: Sandbox, address: str) -> None:
    [record] = await resolver_of(sandbox).resolve(address.partition("@")[2], "MX")
    assert record.to_text() == "0 ."


async def has_no_mail_server(sandbox: Sandbox, address: str) -> None:
    for type_ in ("MX", "A", "AAAA"):  # RFC 5321 section 5.1: without MX, the domain's own address counts
        with pytest.raises(dns.resolver.NoAnswer):
            await resolver_of(sandbox).resolve(address.partition("@")[2], type_)


async def does_not_exist(sandbox: Sandbox, address: str) -> None:
    with pytest.raises(dns.resolver.NXDOMAIN):
        await ports_for(sandbox, address)


async def name_servers_are_broken(sandbox: Sandbox, address: str) -> None:
    with pytest.raises(dns.resolver.NoNameservers, match="SERVFAIL"):
        await ports_for(sandbox, address)


async def name_servers_never_answer(sandbox: Sandbox, address: str) -> None:
    with pytest.raises(dns.resolver.LifetimeTimeout):
        await resolver_of(sandbox, seconds=0.2).resolve(address.partition("@")[2], "MX")


OF_DOMAINS = {
    "anna@greeting-refused.sandbox.test": (AT_CONNECT, greeting_is_refused),
    "anna@greeting-slow.sandbox.test": (AT_CONNECT, greeting_is_slow),
    "anna@greeting-silent.sandbox.test": (AT_CONNECT, greeting_is_silent),
    "anna@two-servers.sandbox.test": (AT_CONNECT, second_server_accepts),
    "anna@unreachable.sandbox.test": (AT_CONNECT, port_is_closed),
    "anna@null-mx.sandbox.test": (NEVER, takes_no_mail),
    "anna@no-mail-server.sandbox.test": (NEVER, has_no_mail_server),
    "anna@no-such-domain.sandbox.test": (NEVER, does_not_exist),
    "anna@dns-broken.sandbox.test": (NEVER, name_servers_are_broken),
    "anna@dns-silent.sandbox.test": (NEVER, name_servers_never_answer),
}


@pytest.mark.parametrize("address", OF_DOMAINS)
async def test_each_domain_meets_what_the_page_promises(sandbox: Sandbox, address: str) -> None:
    when, check = OF_DOMAINS[address]

    assert ROWS[address].when == when
    await check(sandbox, address)


async def ports_for(sandbox: Sandbox, address: str) -> list[int]:
    """Where the mail servers of an address listen, best first, as DNS tells it."""
    resolver = resolver_of(sandbox)
    exchangers = sorted(await resolver.resolve(address.partition("@")[2], "MX"), key=lambda mx: mx.preference)
    found = [await resolver.resolve(f"_smtp._tcp.{mx.exchange}", "SRV") for mx in exchangers]
    return [service.port for [service] in found]


def resolver_of(sandbox: Sandbox, *, seconds: float = 5.0) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    host, resolver.port = sandbox.dns_address
    resolver.nameservers = [host]
    resolver.lifetime = seconds
    return resolver
