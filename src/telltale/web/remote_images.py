"""Fetches a picture from elsewhere for an agent who asked for it: its owner sees this desk, not the agent.

A stranger chose the address, so: only http and https at their own ports, only addresses of the public Internet, checked
before each connection and for each redirect, a few megabytes, a few seconds, and only what is a picture.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

import idna
import urllib3

from telltale.web.pictures import LONGEST_BEGINNING, picture_type

MOST_OCTETS = 5_000_000
SECONDS = 10.0  # for all of it
MOST_REDIRECTS = 3
PIECE = 65_536  # octets
PORTS = {"http": 80, "https": 443}
HEADERS = {"User-Agent": "Telltale", "Accept": "image/*", "Accept-Encoding": "identity"}


class NoPictureError(Exception):
    """There is none, or none that may be fetched; the text says why."""


def fetch(address: str) -> tuple[str, bytes]:
    """Its media type and its octets. Raises NoPictureError. Blocks; SECONDS at most, and one more piece."""
    deadline = time.monotonic() + SECONDS
    for _ in range(MOST_REDIRECTS + 1):
        try:
            answer = _get(address, deadline)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NoPictureError(f"{type(error).__name__}: {error}") from error
        if isinstance(answer, str):
            address = answer
            continue
        media_type = picture_type(answer[:LONGEST_BEGINNING])
        if not media_type:
            raise NoPictureError("what came is no picture")
        return media_type, answer
    raise NoPictureError("it is redirected too often")


def _get(address: str, deadline: float) -> bytes | str:
    """The octets, or the address to ask instead."""
    parts = urlsplit(address)
    if parts.scheme not in PORTS or not parts.hostname or parts.port not in (None, PORTS[parts.scheme]):
        raise NoPictureError("only http and https at their own ports")
    host = idna.encode(parts.hostname, uts46=True).decode()
    pool = _pool(parts.scheme, host, _public_address(host, PORTS[parts.scheme]))
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    with pool:
        answer = pool.urlopen(
            "GET",
            target,
            headers={**HEADERS, "Host": host},
            redirect=False,
            retries=False,
            preload_content=False,
        )
        with answer:
            if location := answer.get_redirect_location():
                return urljoin(address, location)
            if answer.status != 200:
                raise NoPictureError(f"the server answered {answer.status}")
            return _read(answer, deadline)


def _pool(scheme: str, host: str, ip: str) -> urllib3.HTTPConnectionPool:
    """A connection to this one address: the name is not looked up a second time, by which it could change."""
    timeout = urllib3.Timeout(connect=SECONDS / 2, read=SECONDS / 2)
    if scheme == "http":
        return urllib3.HTTPConnectionPool(ip, PORTS[scheme], timeout=timeout)
    return urllib3.HTTPSConnectionPool(
        ip, PORTS[scheme], timeout=timeout, server_hostname=host, assert_hostname=host
    )


def _read(answer: Any, deadline: float) -> bytes:
    octets = bytearray()
    for piece in answer.stream(PIECE, decode_content=False):
        octets += piece
        if len(octets) > MOST_OCTETS:
            raise NoPictureError(f"it has more than {MOST_OCTETS} octets")
        if time.monotonic() > deadline:
            raise NoPictureError("it takes too long")
    return bytes(octets)


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
