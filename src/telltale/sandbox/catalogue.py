"""Every address of the sandbox that does something, for people to read."""

from __future__ import annotations

from dataclasses import dataclass

from telltale.sandbox.hosts import PROVIDER_DOMAINS
from telltale.sandbox.providers import PROVIDERS
from telltale.sandbox.scenarios import SCENARIOS, Scenario

_NEVER = "before a server is met"
_CONNECT = "when we connect"

# Domains where something is wrong before any recipient is named: domain, what, when.
_DOMAINS = (
    ("greeting-refused.sandbox.test", "The server refuses us with its first words.", _CONNECT),
    ("greeting-slow.sandbox.test", "The server greets after ten seconds, then accepts.", _CONNECT),
    ("greeting-silent.sandbox.test", "The server takes the connection and never speaks.", _CONNECT),
    ("two-servers.sandbox.test", "The first mail server is busy; the second one accepts.", _CONNECT),
    ("unreachable.sandbox.test", "The port of the mail server refuses connections.", _CONNECT),
    ("null-mx.sandbox.test", "The domain says that it takes no mail at all.", _NEVER),
    ("no-mail-server.sandbox.test", "The domain has no mail server.", _NEVER),
    ("no-such-domain.sandbox.test", "The domain does not exist.", _NEVER),
    ("dns-broken.sandbox.test", "The domain's name servers have a fault.", _NEVER),
    ("dns-silent.sandbox.test", "The domain's name servers never answer.", _NEVER),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One address, and what mail to it meets."""

    address: str
    provider: str
    what: str  # one sentence
    when: str


def catalogue() -> list[Row]:
    """All addresses, those of one provider together."""
    rows = [_row(scenario, provider=name) for name in PROVIDER_DOMAINS for scenario in SCENARIOS]
    return rows + [Row(f"anna@{domain}", "Domains", what, when) for domain, what, when in _DOMAINS]


def _row(scenario: Scenario, *, provider: str) -> Row:
    local_part = "anna" if scenario.name == "accept" else scenario.name
    address = f"{local_part}@{PROVIDER_DOMAINS[provider][0]}"
    return Row(address, PROVIDERS[provider].title, scenario.what, scenario.when)
