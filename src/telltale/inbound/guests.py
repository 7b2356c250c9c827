"""Who is at the SMTP door, and how much of it each may have.

Rule 1: one stranger cannot keep the door from the others: neither with many connections nor with fast ones.
Rule 2: whoever has to wait hears 4xx, which every mail server answers by coming again later. Nothing is lost.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Sequence

from telltale.config.environment import Network

MOST_CONNECTIONS = 50  # at once, of one stranger; Postfix opens 20 to one destination
MOST_PER_MINUTE = 120  # connections, and mails, of one stranger
MOST_STRANGERS = 50_000  # whose pace we remember

TOO_MANY = "421 4.7.0 Too many connections from {peer} at once, try again in a minute"
TOO_FAST = "421 4.7.0 Too many connections from {peer} in a minute, try again in a minute"
FULL = "421 4.3.2 This server is busy, try again in a minute"


class Guests:
    """The connections of one process. An address of IPv6 counts as its /64, which one customer of a provider has."""

    def __init__(
        self,
        *,
        trusted: Sequence[Network],
        most: int,
        proxies: Sequence[Network] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`proxies` are where all connections come from, where there are any."""
        self._trusted, self._most, self._now = trusted, most, now
        self.proxies = proxies
        self._here: Counter[str] = Counter()
        self._pace: dict[str, tuple[float, float]] = {}  # what is left, and when that was so

    def come(self, peer: str) -> str:
        """Lets one in; the reply that turns it away, or ""."""
        stranger = self._stranger(peer)
        if self._here.total() >= self._most:
            return FULL
        if stranger and self._here[stranger] >= MOST_CONNECTIONS:
            return TOO_MANY.format(peer=stranger)
        if self.must_slow_down(peer):
            return TOO_FAST.format(peer=stranger)
        self._here[stranger] += 1
        return ""

    def leave(self, peer: str) -> None:
        """One that came is gone."""
        stranger = self._stranger(peer)
        self._here[stranger] -= 1
        if self._here[stranger] <= 0:
            del self._here[stranger]

    def must_slow_down(self, peer: str) -> bool:
        """Counts one more connection or mail. A bucket of tokens: a pause gives back what a burst took."""
        stranger = self._stranger(peer)
        if not stranger:
            return False
        left, since = self._pace.pop(stranger, (MOST_PER_MINUTE * 2.0, self._now()))
        left = min(left + (self._now() - since) * MOST_PER_MINUTE / 60, MOST_PER_MINUTE * 2.0)
        self._pace[stranger] = (max(left - 1, 0), self._now())
        if len(self._pace) > MOST_STRANGERS:
            del self._pace[next(iter(self._pace))]  # whoever has not been heard of for longest
        return left < 1

    def is_trusted(self, peer: str) -> bool:
        return not self._stranger(peer)

    def is_proxy(self, peer: str) -> bool:
        return _is_in(self.proxies, peer)

    def _stranger(self, peer: str) -> str:
        """The address, or network, that is counted; "" for our own servers, which have no limit of their own."""
        address = _address(peer)
        if address is None:
            return peer or "unknown"
        if _is_in(self._trusted, peer):
            return ""
        if address.version == 6:
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)


def _is_in(networks: Sequence[Network], peer: str) -> bool:
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


def _address(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address also where a socket of IPv6 gives it."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
