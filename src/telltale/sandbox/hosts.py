"""The sandbox's mail hosts and the domains that they take mail for. Names alone: importing this costs nothing.

All names end in .test or .example, which RFC 2606 keeps out of the public DNS.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

DESK_DOMAIN = "lamp.example"
DESK_HOST = "mx.lamp.example"

# Provider -> the domains that it takes mail for; those in .example make sample customers look natural.
PROVIDER_DOMAINS: Mapping[str, tuple[str, ...]] = {
    "google": ("google.sandbox.test", "gmail.example", "oldworks.example"),
    "microsoft": ("microsoft.sandbox.test", "outlook.example", "corp.example"),
    "yahoo": ("yahoo.sandbox.test", "yahoo.example"),
    "apple": ("apple.sandbox.test", "icloud.example"),
    "postfix": (
        "postfix.sandbox.test",
        "ribeiro.example",
        "two-servers.sandbox.test",
        "greeting-refused.sandbox.test",
        "greeting-slow.sandbox.test",
        "greeting-silent.sandbox.test",
    ),
}

REFUSING_HOST = "mx.greeting-refused.sandbox.test"
SLOW_HOST = "mx.greeting-slow.sandbox.test"
SILENT_HOST = "mx.greeting-silent.sandbox.test"
FIRST_OF_TWO = "mx1.two-servers.sandbox.test"
UNREACHABLE_HOST = "mx.unreachable.sandbox.test"


class Greeting(StrEnum):
    """How a host meets a client."""

    NORMAL = "normal"
    REFUSED = "refused"  # 554 and the end
    BUSY = "busy"  # 421 and the end
    SLOW = "slow"
    SILENT = "silent"
    NOBODY = "nobody"  # the port refuses connections


def mx_host(provider: str) -> str:
    return f"mx.{provider}.sandbox.test"


# Host -> how it greets. The order is that of the ports.
HOSTS: Mapping[str, Greeting] = {
    **{mx_host(provider): Greeting.NORMAL for provider in PROVIDER_DOMAINS},
    REFUSING_HOST: Greeting.REFUSED,
    SLOW_HOST: Greeting.SLOW,
    SILENT_HOST: Greeting.SILENT,
    FIRST_OF_TWO: Greeting.BUSY,
    UNREACHABLE_HOST: Greeting.NOBODY,
}


def provider_of(host: str) -> str:
    """The provider whose manners this host has: its own, or Postfix's."""
    return next((provider for provider in PROVIDER_DOMAINS if host == mx_host(provider)), "postfix")
