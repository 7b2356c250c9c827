"""The sandbox's part of the domain name system: who takes mail for whom, and the domains where something is wrong.

Every mail host publishes its real port as `SRV _smtp._tcp.<host>`, since no test may listen on port 25.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dns.name

from telltale.sandbox.dns import Zone
from telltale.sandbox.hosts import (
    DESK_DOMAIN,
    DESK_HOST,
    FIRST_OF_TWO,
    PROVIDER_DOMAINS,
    REFUSING_HOST,
    SILENT_HOST,
    SLOW_HOST,
    UNREACHABLE_HOST,
    mx_host,
)

ORIGINS = ("test.", "example.")

# Domain -> its MX records, where they are others than those of its provider. RFC 7505: "0 ." takes no mail at all.
_EXCHANGERS: dict[str, tuple[str, ...]] = {
    "two-servers.sandbox.test": (f"10 {FIRST_OF_TWO}.", "20 mx.postfix.sandbox.test."),
    "greeting-refused.sandbox.test": (f"10 {REFUSING_HOST}.",),
    "greeting-slow.sandbox.test": (f"10 {SLOW_HOST}.",),
    "greeting-silent.sandbox.test": (f"10 {SILENT_HOST}.",),
    "unreachable.sandbox.test": (f"10 {UNREACHABLE_HOST}.",),
    "null-mx.sandbox.test": ("0 .",),
}


def build_zone(ports: Mapping[str, int]) -> Zone:
    """The zone for mail hosts that listen on these ports."""
    zone = Zone(*ORIGINS)
    for host, port in ports.items():
        publish_host(zone, host, port)
    for domain, records in (_exchangers_of_providers() | _EXCHANGERS).items():
        zone.publish(domain, "MX", *records)
    zone.publish("no-mail-server.sandbox.test", "TXT", '"This domain has a record, and no mail server."')
    zone.broken.add(dns.name.from_text("dns-broken.sandbox.test"))
    zone.silent.add(dns.name.from_text("dns-silent.sandbox.test"))
    return zone


def _exchangers_of_providers() -> dict[str, tuple[str, ...]]:
    return {
        domain: (f"10 {mx_host(provider)}.",)
        for provider, domains in PROVIDER_DOMAINS.items()
        for domain in domains
    }


def publish_host(zone: Zone, host: str, port: int) -> None:
    zone.publish(host, "A", "127.0.0.1")
    zone.publish(f"_smtp._tcp.{host}", "SRV", f"0 0 {port} {host}.")


def publish_desk(zone: Zone, port: int) -> None:
    """The desk's own domain, with the port of its receiving door."""
    publish_host(zone, DESK_HOST, port)
    zone.publish(DESK_DOMAIN, "MX", f"10 {DESK_HOST}.")


@dataclass(frozen=True, slots=True)
class Exchanger:
    """Where to connect for a domain's mail."""

    host: str
    address: str
    port: int


def exchangers(zone: Zone, domain: str) -> list[Exchanger]:
    """The domain's mail servers, best first; empty where it has none."""
    records = sorted(zone.texts(domain, "MX"), key=lambda record: int(record.split()[0]))
    return [found for record in records for found in _addresses(zone, record.split()[1].rstrip("."))]


def _addresses(zone: Zone, host: str) -> Iterator[Exchanger]:
    for service in zone.texts(f"_smtp._tcp.{host}", "SRV") if host else ():
        for address in zone.texts(host, "A"):
            yield Exchanger(host, address, int(service.split()[2]))
