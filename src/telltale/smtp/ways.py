"""The ways a message can take, best first, and what each connection on them must be.

Straight to the recipient's hosts: MX, then DANE (RFC 7672) before MTA-STS (RFC 8461) for each of them.
Through relays: the next one where the one before cannot be used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from telltale.smtp.dane import Tlsa, tlsa_records
from telltale.smtp.mta_sts import Finding, Mode, MtaSts, StsPolicy
from telltale.smtp.route import (
    SMTP_PORT,
    Hop,
    NoRoute,
    Relay,
    Resolver,
    ascii_domain,
    mail_hops,
    relay_hops,
)
from telltale.smtp.tls import OPPORTUNISTIC, Need, TlsPolicy


@dataclass(frozen=True, slots=True)
class Way:
    """One address to try, what the connection must be, and the relay that it belongs to, if it is one."""

    hop: Hop
    policy: TlsPolicy = OPPORTUNISTIC
    relay: Relay | None = None

    def __str__(self) -> str:
        return str(self.hop)


@dataclass(frozen=True, slots=True)
class Route:
    """The ways to try, best first, and what was found out on the way to them, for the transcript."""

    ways: tuple[Way, ...]
    found: tuple[str, ...] = ()


async def direct_route(
    domain: str,
    *,
    resolver: Resolver,
    sts: MtaSts | None = None,
    port: int = SMTP_PORT,
    ports_from_srv: bool = False,
    our_name: str = "",
    random: Random | None = None,
) -> Route | NoRoute:
    """The ways to a domain's own mail hosts. The arguments are those of `mail_hops`; `sts` None asks no policy."""
    hops = await mail_hops(
        domain,
        resolver=resolver,
        port=port,
        ports_from_srv=ports_from_srv,
        our_name=our_name,
        random=random,
    )
    if isinstance(hops, NoRoute):
        return hops
    finding, records = await asyncio.gather(_sts_finding(domain, sts), _tlsa_of_hosts(hops, resolver))
    ways = tuple(Way(hop, policy_for(hop, records[_service(hop)], domain, finding.policy)) for hop in hops)
    return Route(ways, _found(domain, ways, finding))


async def relay_route(relays: Sequence[Relay]) -> Route | NoRoute:
    """The ways through these relays, the preferred one first. Raises ValueError where there is none."""
    if not relays:
        raise ValueError("no relay to go through")
    found = await asyncio.gather(*map(relay_hops, relays))
    ways = tuple(
        Way(hop, TlsPolicy.of_relay(relay), relay)
        for relay, hops in zip(relays, found, strict=True)
        if not isinstance(hops, NoRoute)
        for hop in hops
    )
    without_address = [hops for hops in found if isinstance(hops, NoRoute)]
    return Route(ways, tuple(none.text for none in without_address)) if ways else without_address[0]


def policy_for(
    hop: Hop, records: tuple[Tlsa, ...] | NoRoute, domain: str, policy: StsPolicy | None
) -> TlsPolicy:
    """What the connection to one of a domain's hosts must be. DANE goes before MTA-STS: RFC 8461 section 2."""
    if isinstance(records, NoRoute):  # RFC 7672 section 2.1.2: who can stop the look-up must not win by it
        return TlsPolicy(Need.IMPOSSIBLE, f"its TLSA records (DANE) could not be looked up: {records.text}")
    if any(record.is_usable for record in records):
        return TlsPolicy(
            Need.DANE, "its TLSA records (DANE) ask for TLS with a certificate that they name", records
        )
    if policy and policy.mode is Mode.ENFORCE:
        return _enforced(hop, domain, policy)
    if records:  # RFC 7672 section 2.2
        return TlsPolicy(
            Need.ENCRYPTED, "its TLSA records (DANE) ask for TLS, but are of no kind that can be checked here"
        )
    return OPPORTUNISTIC


def _enforced(hop: Hop, domain: str, policy: StsPolicy) -> TlsPolicy:
    if policy.matches(hop.host):
        return TlsPolicy(Need.VERIFIED, f"the MTA-STS policy of {domain} asks for it")
    words = f"the MTA-STS policy of {domain} does not name this host, but {', '.join(policy.mx)}"
    return TlsPolicy(Need.IMPOSSIBLE, words)


_Service = tuple[str, int, bool]


async def _tlsa_of_hosts(
    hops: Sequence[Hop], resolver: Resolver
) -> dict[_Service, tuple[Tlsa, ...] | NoRoute]:
    """One look-up for each host, however many addresses it has."""
    services = {_service(hop): hop for hop in hops}
    records = await asyncio.gather(*(tlsa_records(hop, resolver) for hop in services.values()))
    return dict(zip(services, records, strict=True))


def _service(hop: Hop) -> _Service:
    return hop.host, hop.port, hop.dnssec


async def _sts_finding(domain: str, sts: MtaSts | None) -> Finding:
    if sts is None or domain.startswith("["):
        return Finding()
    return await sts.find(ascii_domain(domain).lower())


def _found(domain: str, ways: tuple[Way, ...], finding: Finding) -> tuple[str, ...]:
    words = [finding.text] if finding.text else []
    if finding.policy and finding.policy.mode is Mode.TESTING:
        strangers = {way.hop.host for way in ways if not finding.policy.matches(way.hop.host)}
        if strangers:
            words.append(
                f"MTA-STS: the policy of {domain}, which is in testing, does not name {', '.join(sorted(strangers))}"
            )
    return tuple(words)
