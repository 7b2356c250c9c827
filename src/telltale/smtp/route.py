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
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus

SMTP_PORT = 25
MOST_HOPS = 20  # RFC 5321 section 5.1 lets a client limit the addresses that it tries
DNS_LIFETIME = 15.0  # seconds for one question, all name servers and repetitions together
DNS_TIMEOUT = 4.0  # seconds for one name server to answer


@dataclass(frozen=True, slots=True)
class Hop:
    """One address to try: a mail host's name, one of its IP addresses, and the port."""

    host: str
    address: str
    port: int = SMTP_PORT
    preference: int = 0  # the MX preference; 0 where no MX record named the host

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
    """Another way out: a smart host that takes all our mail. `username` is "" where it asks for none."""

    host: str
    port: int = 587
    security: Security = Security.STARTTLS
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Relay({self.host!r}, {self.port}, {self.security}, username={self.username!r})"  # no password


class NoRouteKind(StrEnum):
    """Why there is nowhere to connect to."""

    NO_SUCH_DOMAIN = "no_such_domain"  # NXDOMAIN, or no domain name at all
    NULL_MX = "null_mx"  # the domain says that it takes no mail
    NO_MAIL_SERVER = "no_mail_server"  # neither MX nor address; or MX hosts without an address
    DNS_NO_ANSWER = "dns_no_answer"  # no name server answered in time
    DNS_FAILURE = "dns_failure"  # SERVFAIL, REFUSED, a loop, nonsense


# What RFC 3463 and RFC 7505 register for it; the class follows from whether it is permanent.
_STATUS = {
    NoRouteKind.NO_SUCH_DOMAIN: (1, 2),
    NoRouteKind.NULL_MX: (1, 10),
    NoRouteKind.NO_MAIL_SERVER: (4, 4),
    NoRouteKind.DNS_NO_ANSWER: (4, 3),
    NoRouteKind.DNS_FAILURE: (4, 3),
}
_TEMPORARY = {NoRouteKind.DNS_NO_ANSWER, NoRouteKind.DNS_FAILURE}


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


class Resolver(Protocol):
    """What we need of `dns.asyncresolver.Resolver`: it answers, or raises a `DNSException`."""

    async def resolve(self, qname: str, rdtype: str, /) -> dns.resolver.Answer: ...


def make_resolver(nameserver: tuple[str, int] | None = None) -> Resolver:
    """A resolver that asks the system's name servers, or the one at this address and port."""
    resolver = dns.asyncresolver.Resolver(configure=nameserver is None)
    if nameserver:
        address, resolver.port = nameserver
        resolver.nameservers = [address]
    resolver.lifetime = DNS_LIFETIME
    resolver.timeout = DNS_TIMEOUT
    return resolver


async def mail_hops(
    domain: str,
    *,
    resolver: Resolver,
    port: int = SMTP_PORT,
    ports_from_srv: bool = False,
    random: Random | None = None,
) -> tuple[Hop, ...] | NoRoute:
    """The addresses to try for mail to `domain`, best first, 20 at most.

    `ports_from_srv` asks an SRV record `_smtp._tcp.<host>` at which port each host listens: the sandbox
    has many hosts on one machine, where only one can have port 25. Off in real life.
    """
    ...


async def relay_hops(relay: Relay) -> tuple[Hop, ...] | NoRoute:
    """The addresses of a relay, as any program of this machine finds them: /etc/hosts counts too.

    A relay without an address is a fault of our set-up and never permanent.
    """
    ...


def ascii_domain(domain: str) -> str:
    """The domain in A-labels, RFC 5890. Raises ValueError where it is no domain name."""
    ...
