"""Fetches a picture from elsewhere for an agent who asked for it: its owner sees this desk, not the agent.

A stranger chose the address, so: only http and https at their own ports, only addresses of the public Internet, checked
before each connection and for each redirect, a few megabytes, a few seconds, and only what is a picture.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urljoin, urlsplit

import idna

from telltale.web.pictures import LONGEST_BEGINNING, picture_type

MOST_OCTETS = 5_000_000
SECONDS = 10.0  # for all of it
MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
PORTS = {"http": 80, "https": 443}
HEADERS = {"User-Agent": "Telltale", "Accept": "image/*", "Accept-Encoding": "identity"}


class NoPictureError(Exception):
    """There is none, or none that may be fetched; the text says why."""


def fetch(address: str) -> tuple[str, bytes]:
    """Its media type and its octets. Raises NoPictureError. Blocks; SECONDS at most, and the lookups of its names."""
    deadline = time.monotonic() + SECONDS
    for _ in range(MOST_REDIRECTS + 1):
        try:
            answer = _get(address, deadline)
        except (OSError, HTTPException, ValueError) as error:
            raise NoPictureError(_why(error, deadline)) from error
        if isinstance(answer, str):
            address = answer
            continue
        media_type = picture_type(answer[:LONGEST_BEGINNING])
        if not media_type:
            raise NoPictureError("what came is no picture")
        return media_type, answer
    raise NoPictureError("it is redirected too often")


def _why(error: Exception, deadline: float) -> str:
    """Whatever a connection that we cut off looks like to who reads it."""
    return "it takes too long" if time.monotonic() >= deadline else f"{type(error).__name__}: {error}"


def _get(address: str, deadline: float) -> bytes | str:
    """The octets, or the address to ask instead."""
    parts = urlsplit(address)
    if parts.scheme not in PORTS or not parts.hostname or parts.port not in (None, PORTS[parts.scheme]):
        raise NoPictureError("only http and https at their own ports")
    host = idna.encode(parts.hostname, uts46=True).decode()
    with _connected(parts.scheme, host, deadline) as connection:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", target, headers={**HEADERS, "Host": host})
        answer = connection.getresponse()
        if answer.status in REDIRECTS and (location := answer.getheader("Location")):
            return urljoin(address, location)
        if answer.status != 200:
            raise NoPictureError(f"the server answered {answer.status}")
        octets = answer.read(MOST_OCTETS + 1)
    if time.monotonic() >= deadline:  # cut off, which looks like an end to who reads up to the end
        raise NoPictureError("it takes too long")
    if len(octets) > MOST_OCTETS:
        raise NoPictureError(f"it has more than {MOST_OCTETS} octets")
    return octets


@contextmanager
def _connected(scheme: str, host: str, deadline: float) -> Iterator[HTTPConnection]:
    """A connection to an address that was checked: the name is not looked up a second time, by which it could change.

    A time limit of a socket begins anew with each octet; so a timer cuts it off when all of the time is over.
    """
    ip = _public_address(host, PORTS[scheme])
    left = max(deadline - time.monotonic(), 0.001)
    wire = socket.create_connection((ip, PORTS[scheme]), timeout=left)
    if scheme == "https":
        context = ssl.create_default_context()
        wire = context.wrap_socket(wire, server_hostname=host, do_handshake_on_connect=False)
    timer = threading.Timer(left, _cut_off, [wire])
    connection = HTTPConnection(host)
    connection.sock = wire
    with wire, closing(connection):
        timer.start()
        try:
            if isinstance(wire, ssl.SSLSocket):
                wire.do_handshake()
            yield connection
        finally:
            timer.cancel()


def _cut_off(wire: socket.socket) -> None:
    """Below TLS: whoever waits for an octet there sees the end."""
    with suppress(OSError):
        socket.socket.shutdown(wire, socket.SHUT_RDWR)


def _public_address(host: str, port: int) -> str:
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not found or not all(is_public(ip) for ip in found):
        raise NoPictureError("it is not on the public Internet")
    return found[0]


def is_public(ip: str) -> bool:
    """Whether this is nobody's own network: none of RFC 6890's special addresses, in whatever form of IPv6."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return is_public(str(inner))
        if address in ipaddress.ip_network("64:ff9b::/96"):  # NAT64, RFC 6052
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)))
    return address.is_global and not address.is_multicast
