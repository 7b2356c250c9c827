"""The little world that the servers live in: its names, its addresses, and who says what.

Every name ends in "example" (RFC 2606) and every address is of 192.0.2.0/24 (RFC 5737). All of them are on the
loopback device of a network namespace that has no other, so nothing here can reach a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import dns.name

from telltale.sandbox.dns import Zone

SERVER = "mx.lamp.example"  # the mail server that we look at
SERVER_ADDRESS = "192.0.2.10"
SERVER_DOMAIN = "lamp.example"
DESK_DOMAIN = "desk.example"  # where its reports go


@dataclass(frozen=True, slots=True)
class Host:
    """A next hop. `refusals` are by the local part of the recipient, in the octets that go over the wire."""

    name: str
    address: str
    greeting: bytes = b""
    extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")
    at_rcpt: dict[str, bytes] = field(default_factory=dict)
    behind_the_dot: dict[str, bytes] = field(default_factory=dict)
    size_limit: int = 10_000_000  # octets
    listens: bool = True


HANG_UP = b""  # instead of a reply
TOO_LARGE = b"552 5.3.4 This mail is larger than the 2000 octets that we take"

AT_RCPT = {
    "nobody": (
        b"550-5.1.1 The address nobody@paper.example is not known here.\r\n"
        b"550 5.1.1 Please check how it is written, or ask its owner."
    ),
    "gone": b"550 No such user here",
    "full": b"550 5.2.2 The mailbox is full: 1024 of 1024 MB are used",
    "members": (
        b"550-5.7.1 Only members may write to this list.\r\n"
        b"550-5.7.1 How to become one:\r\n"
        b"550 5.7.1 https://paper.example/lists/members"
    ),
    "moved": b"551 5.1.6 This person has moved, please write to <ana@new.paper.example>",
    "fremd": b"550 5.1.1 Empf\xe4nger unbekannt: fremd@paper.example",  # ISO 8859-1, as some still speak it
    "wordy": b"\r\n".join(
        b"550%c5.7.1 Line %d of 8: the owner of this mailbox does not wish to get mail from your address, and"
        b" has told us so <%s>; this is no error."
        % (b" " if line == 8 else b"-", line, b"wordy@paper.example")
        for line in range(1, 9)
    ),
    "later": b"451 4.7.1 Greylisted: please come back in 5 minutes",
    "hasty": b"450 4.2.1 The mailbox gets too much mail at the moment; try again later",
    "drop": HANG_UP,
}
BEHIND_THE_DOT = {
    "spam": (
        b"554-5.7.1 The content of this mail was taken for spam.\r\n"
        b"554 5.7.1 If it is none, write to postmaster@paper.example"
    ),
    "virus": b"550 5.7.1 Virus found: Eicar-Test-Signature",
}
MODERN = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "SIZE 50000000")

DESK = Host(f"mx.{DESK_DOMAIN}", "192.0.2.20", extensions=MODERN)
HOSTS = (
    DESK,
    Host("mx1.paper.example", "192.0.2.31", at_rcpt=AT_RCPT, behind_the_dot=BEHIND_THE_DOT),
    Host(
        "mx.modern.example",
        "192.0.2.32",
        extensions=MODERN,
        at_rcpt={
            "nobody": b"550 5.1.1 Unknown recipient",
            "süd": "550 5.1.1 Unknown: süd@modern.example".encode(),
        },
    ),
    Host(
        "mx.fort.example",
        "192.0.2.33",
        greeting=b"554-5.7.1 Your address 192.0.2.10 is on the block list bl.fort.example.\r\n"
        b"554 5.7.1 See https://bl.fort.example/?a=192.0.2.10",
    ),
    Host("mx.tiny.example", "192.0.2.34", extensions=("SIZE 2000", "ENHANCEDSTATUSCODES"), size_limit=2_000),
    Host("mx.asleep.example", "192.0.2.35", greeting=b"421 4.3.2 Closed for the night"),
    Host("mx.closed.example", "192.0.2.36", listens=False),
)


def zone() -> Zone:
    """The domain name system of this world. Whatever is not in it does not exist."""
    zone = Zone(".")
    zone.publish(f"{SERVER_DOMAIN}.", "MX", f"10 {SERVER}.")
    _publish_address(zone, SERVER, SERVER_ADDRESS)
    for host in HOSTS:
        _publish_address(zone, host.name, host.address)
        zone.publish(host.name.partition(".")[2] + ".", "MX", f"10 {host.name}.")
    zone.publish("nomail.example.", "MX", "0 .")  # RFC 7505
    zone.publish("dangling.example.", "MX", "10 mx.dangling.example.")  # which has no address
    zone.broken.add(dns.name.from_text("broken.example."))
    return zone


def _publish_address(zone: Zone, name: str, address: str) -> None:
    zone.publish(f"{name}.", "A", address)
    backwards = ".".join(reversed(address.split(".")))
    zone.publish(f"{backwards}.in-addr.arpa.", "PTR", f"{name}.")
