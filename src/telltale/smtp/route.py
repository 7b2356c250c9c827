"""Where to connect for a domain: RFC 5321 section 5.1, null MX (RFC 7505), and the way through a relay.

Rule 1: what DNS answers is a value. Nothing here raises for the world's failures; they are a `NoRoute`.
Rule 2: what may be different in a minute (no answer, SERVFAIL) is never called permanent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random, SystemRandom
from typing import Any, Protocol

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.name
import dns.resolver

from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus
from telltale.smtp.auth import Credentials

SMTP_PORT = 25
MOST_HOPS = 20  # RFC 5321 section 5.1 lets a client limit the addresses that it tries
DNS_LIFETIME = 15.0  # seconds for one question, all name servers and repetitions together
DNS_TIMEOUT = 4.0  # seconds for one name server to answer
EDNS_PAYLOAD = 1232  # octets of a UDP answer that no network on the way cuts into pieces


@dataclass(frozen=True, slots=True)
class Hop:
    """One address to try: a mail host's name, one of its IP addresses, and the port."""

    host: str
    address: str
    port: int = SMTP_PORT
    preference: int = 0  # the MX preference; 0 where no MX record named the host
    dnssec: bool = False  # whether every answer that led here was validated

    def __str__(self) -> str:
        name = "" if self.host == self.address else f"{self.host} "
        return f"{name}[{self.address}] port {self.port}"


class Security(StrEnum):
    """How the connection to a relay is protected. TLS with a relay always verifies its certificate."""

    NONE = "none"
    STARTTLS = "starttls"  # required: without it nothing is sent
    TLS = "tls"  # from the first octet on, RFC 8314 section 3.3


@dataclass(frozen=True, slots=True)
class Relay:
    """Another way out: a smart host that takes all our mail. `credentials` is None where it asks for none."""

    host: str
    port: int = 587
    security: Security = Security.STARTTLS
    credentials: Credentials | None = None


class NoRouteKind(StrEnum):
    """Why there is nowhere to connect to."""

    NO_SUCH_DOMAIN = "no_such_domain"  # NXDOMAIN, or no domain name at all
    NULL_MX = "null_mx"  # the domain says that it takes no mail
    NO_MAIL_SERVER = "no_mail_server"  # neither MX nor address; or MX hosts without an address
    DNS_NO_ANSWER = "dns_no_answer"  # no name server answered in time
    DNS_FAILURE = "dns_failure"  # SERVFAIL, REFUSED, a loop, nonsense
    MAIL_LOOP = "mail_loop"  # the domain's best mail host is ourselves


# What RFC 3463 and RFC 7505 register for it; the class follows from whether it is permanent.
_STATUS = {
    NoRouteKind.NO_SUCH_DOMAIN: (1, 2),
    NoRouteKind.NULL_MX: (1, 10),
    NoRouteKind.NO_MAIL_SERVER: (4, 4),
    NoRouteKind.DNS_NO_ANSWER: (4, 3),
    NoRouteKind.DNS_FAILURE: (4, 3),
    NoRouteKind.MAIL_LOOP: (4, 6),
}
_TEMPORARY = {NoRouteKind.DNS_NO_ANSWER, NoRouteKind.DNS_FAILURE}
_GETADDRINFO: dict[int | None, NoRouteKind] = {
    socket.EAI_NONAME: NoRouteKind.NO_SUCH_DOMAIN,
    socket.EAI_AGAIN: NoRouteKind.DNS_NO_ANSWER,
}


@dataclass(frozen=True, slots=True)
class NoRoute:
    """There is nowhere to connect to, and why; `text` is a plain sentence of ours."""

    kind: NoRouteKind
    text: str
    permanent: bool

    @property
    def status(self) -> EnhancedStatus:
        """The registered status: here we are the reporting MTA, so the words are ours to choose."""
        return EnhancedStatus(5 if self.permanent else 4, *_STATUS[self.kind])

    def to_report(self, recipient: str) -> RecipientReport:
        return RecipientReport(
            final_recipient=recipient,
            action=Action.FAILED if self.permanent else Action.DELAYED,
            status=self.status,
            diagnostic_code=Diagnostic("x-local", self.text),
            stage=Stage.DNS,
        )


@dataclass(frozen=True, slots=True)
class _Host:
    name: str
    preference: int
    dnssec: bool


class Resolver(Protocol):
    """What we need of `dns.asyncresolver.Resolver`: it answers, or raises a `DNSException`."""

    async def resolve(self, qname: str, rdtype: str, /) -> dns.resolver.Answer: ...


class MailResolver(dns.asyncresolver.Resolver):
    """Asks whether answers were validated (DNSSEC), and believes it only where the way to who says so is safe.

    The AD flag is set by the name server that we ask; on a network between, anybody could set it. So it is
    taken off the answers unless `trusts_ad`, and whoever sees it in an answer may count on it: RFC 7672
    section 2.1.
    """

    trusts_ad = False

    async def resolve(self, *args: Any, **options: Any) -> dns.resolver.Answer:
        answer = await super().resolve(*args, **options)
        if not self.trusts_ad:
            answer.response.flags &= ~dns.flags.AD
        return answer


def make_resolver(
    nameserver: tuple[str, int] | None = None, *, trusts_ad: bool | None = None
) -> MailResolver:
    """A resolver that asks the system's name servers, or the one at this address and port.

    `trusts_ad`: whether they may say what was validated; by default those on this machine may.
    """
    resolver = MailResolver(configure=nameserver is None)
    if nameserver:
        address, resolver.port = nameserver
        resolver.nameservers = [address]
    resolver.lifetime = DNS_LIFETIME
    resolver.timeout = DNS_TIMEOUT
    resolver.set_flags(dns.flags.RD | dns.flags.AD)  # RFC 6840 section 5.7: AD in a question asks for it
    resolver.use_edns(0, 0, EDNS_PAYLOAD)
    are_here = bool(resolver.nameservers) and all(map(_is_loopback, resolver.nameservers))
    resolver.trusts_ad = are_here if trusts_ad is None else trusts_ad
    return resolver


def is_validated(answer: dns.resolver.Answer) -> bool:
    return bool(answer.response.flags & dns.flags.AD)


def _is_loopback(nameserver: object) -> bool:
    try:
        return ipaddress.ip_address(str(nameserver)).is_loopback
    except ValueError:  # a name server that is asked over HTTPS, say
        return False


async def mail_hops(
    domain: str,
    *,
    resolver: Resolver,
    port: int = SMTP_PORT,
    ports_from_srv: bool = False,
    our_name: str = "",
    random: Random | None = None,
) -> tuple[Hop, ...] | NoRoute:
    """The addresses to try for mail to `domain`, best first, 20 at most.

    `our_name` is that of our own mail host, where one passes mail on: among the domain's hosts, it and those
    that are no better are left out, RFC 5321 section 5.1. A host that only receives needs no such guard.

    `ports_from_srv` asks an SRV record `_smtp._tcp.<host>` at which port each host listens: the sandbox
    has many hosts on one machine, where only one can have port 25. Off in real life.
    """
    if domain.startswith("["):
        return _literal_hops(domain, port)
    try:
        name = ascii_domain(domain)
    except ValueError as fault:
        return _no_route(NoRouteKind.NO_SUCH_DOMAIN, f"DNS: {fault}")
    hosts = await _mail_hosts(name, resolver, random or SystemRandom())
    if not isinstance(hosts, NoRoute):
        hosts = _better_than_ourselves(name, hosts, our_name)
    if isinstance(hosts, NoRoute):
        return hosts
    found = await asyncio.gather(*(_hops(host, resolver, port, ports_from_srv) for host in hosts))
    return _joined(found) or _nowhere(name, hosts, found)


async def relay_hops(relay: Relay) -> tuple[Hop, ...] | NoRoute:
    """The addresses of a relay, as any program of this machine finds them: /etc/hosts counts too.

    A relay without an address is a fault of our set-up and never permanent.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            relay.host, relay.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except socket.gaierror as fault:
        kind = _GETADDRINFO.get(fault.errno, NoRouteKind.DNS_FAILURE)
        return NoRoute(kind, f"DNS: the relay {relay.host} has no address: {fault.strerror}", permanent=False)
    except UnicodeError:
        text = f"DNS: the relay's name {relay.host!r} is no domain name"
        return NoRoute(NoRouteKind.NO_SUCH_DOMAIN, text, permanent=False)
    addresses = dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)  # each once, in the system's order
    return tuple(Hop(relay.host, address, relay.port) for address in addresses)[:MOST_HOPS]


def ascii_domain(domain: str) -> str:
    """The domain in A-labels, RFC 5890, without a final dot. Raises ValueError where it is no domain name."""
    try:
        name = dns.name.from_text(domain, idna_codec=dns.name.IDNA_2008_Practical)
    except (dns.exception.DNSException, UnicodeError) as fault:
        raise ValueError(f"{domain!r} is no domain name ({fault})") from fault
    if name == dns.name.root:
        raise ValueError(f"{domain!r} is no domain name")
    return name.to_text(omit_final_dot=True)


def _literal_hops(literal: str, port: int) -> tuple[Hop, ...] | NoRoute:
    """An address literal says itself where to connect: RFC 5321 section 4.1.3."""
    text = literal.removeprefix("[").removesuffix("]")
    is_v6 = text[:5].lower() == "ipv6:"
    try:
        address = str(ipaddress.IPv6Address(text[5:]) if is_v6 else ipaddress.IPv4Address(text))
    except ValueError:
        return _no_route(NoRouteKind.NO_SUCH_DOMAIN, f"{literal!r} is no address literal")
    return (Hop(address, address, port),)


async def _mail_hosts(name: str, resolver: Resolver, random: Random) -> Sequence[_Host] | NoRoute:
    """The mail hosts of a domain, best first: its MX hosts, or where it has none, itself."""
    try:
        answer = await resolver.resolve(f"{name}.", "MX")
    except dns.resolver.NoAnswer:
        return [_Host(name, preference=0, dnssec=True)]  # the implicit MX, RFC 5321 section 5.1
    except dns.exception.DNSException as fault:
        return _dns_fault(name, fault)
    if answer.rrset and all(record.exchange == dns.name.root for record in answer):
        return _no_route(NoRouteKind.NULL_MX, f"DNS: {name} takes no mail (null MX, RFC 7505)")
    hosts = [
        _Host(record.exchange.to_text(omit_final_dot=True), record.preference, is_validated(answer))
        for record in answer
        if record.exchange != dns.name.root
    ]
    random.shuffle(hosts)  # RFC 5321 section 5.1: spread the load among hosts of the same preference
    return sorted(hosts, key=lambda host: host.preference)[:MOST_HOPS]


def _better_than_ourselves(name: str, hosts: Sequence[_Host], our_name: str) -> Sequence[_Host] | NoRoute:
    ours = [host.preference for host in hosts if our_name and host.name.lower() == our_name.lower()]
    if not ours:
        return hosts
    better = [host for host in hosts if host.preference < min(ours)]
    text = f"DNS: mail to {name} would come back to this host: {our_name} is its best mail server"
    return better or _no_route(NoRouteKind.MAIL_LOOP, text)


async def _hops(
    host: _Host, resolver: Resolver, port: int, ports_from_srv: bool
) -> tuple[Hop, ...] | NoRoute:
    """The addresses of one mail host, IPv6 first."""
    questions = [look_up(host.name, "AAAA", resolver), look_up(host.name, "A", resolver)]
    if ports_from_srv:
        questions.append(look_up(f"_smtp._tcp.{host.name}", "SRV", resolver))
    v6, v4, *services = await asyncio.gather(*questions)
    for [service, *_] in (
        found.records for found in services if isinstance(found, Records) and found.records
    ):
        port = service.port
    hops = tuple(
        Hop(host.name, record.address, port, host.preference, host.dnssec and found.validated)
        for found in (v6, v4)
        if isinstance(found, Records)
        for record in found.records
    )
    return hops or next((found for found in (v4, v6) if isinstance(found, NoRoute)), ())


@dataclass(frozen=True, slots=True)
class Records:
    """What DNS holds under a name and a type: none is an answer, too."""

    records: tuple[Any, ...] = ()
    validated: bool = False  # by DNSSEC, and by somebody whom we trust to say so


async def look_up(name: str, rdtype: str, resolver: Resolver) -> Records | NoRoute:
    """What DNS holds; a NoRoute only where it failed to answer."""
    try:
        answer = await resolver.resolve(f"{name}.", rdtype)
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return Records()
    except dns.exception.DNSException as fault:
        return _dns_fault(name, fault)
    return Records(tuple(answer), is_validated(answer))


def _joined(found: Iterable[tuple[Hop, ...] | NoRoute]) -> tuple[Hop, ...]:
    hops = (hop for of_host in found if not isinstance(of_host, NoRoute) for hop in of_host)
    return tuple(dict.fromkeys(hops))[:MOST_HOPS]


def _nowhere(name: str, hosts: Sequence[_Host], found: Sequence[tuple[Hop, ...] | NoRoute]) -> NoRoute:
    """No host has an address. Where DNS failed to answer for one of them, that is not the last word."""
    unanswered = next((of_host for of_host in found if isinstance(of_host, NoRoute)), None)
    if unanswered:
        return unanswered
    if [host.name for host in hosts] == [name]:
        return _no_route(NoRouteKind.NO_MAIL_SERVER, f"DNS: {name} has no mail server (no MX, no address)")
    names = ", ".join(host.name for host in hosts)
    text = f"DNS: no mail server of {name} has an address (MX: {names})"
    return _no_route(NoRouteKind.NO_MAIL_SERVER, text)


def _dns_fault(name: str, fault: dns.exception.DNSException) -> NoRoute:
    match fault:
        case dns.resolver.NXDOMAIN():
            return _no_route(NoRouteKind.NO_SUCH_DOMAIN, f"DNS: {name} does not exist (NXDOMAIN)")
        case dns.exception.Timeout():
            return _no_route(NoRouteKind.DNS_NO_ANSWER, f"DNS: no answer for {name}: {fault}")
    return _no_route(NoRouteKind.DNS_FAILURE, f"DNS: the look-up of {name} failed: {fault}")


def _no_route(kind: NoRouteKind, text: str) -> NoRoute:
    return NoRoute(kind, text, permanent=kind not in _TEMPORARY)
