"""An authoritative DNS server over a table, on UDP and TCP of one port.

Rule 1: `answer` decides and knows no socket; `DnsServer` only carries octets.
Rule 2: nothing outside the zone's origins is ever answered or looked up: REFUSED.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset

TTL = 30  # seconds; short, since ports change when a sandbox starts again
PLAIN_UDP_OCTETS = 512  # RFC 1035 section 4.2.1, for a client without EDNS
TCP_IDLE = 10.0  # seconds
_TRIES_FOR_A_PORT = 20


class Zone:
    """Names and their records. `silent` names get no answer, `broken` names get SERVFAIL, with all below them."""

    def __init__(self, *origins: str) -> None:
        self.origins = tuple(dns.name.from_text(origin) for origin in origins)
        self.silent: set[dns.name.Name] = set()
        self.broken: set[dns.name.Name] = set()
        self._records: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rdataset.Rdataset]] = {}
        self._names: set[dns.name.Name] = set()

    def publish(self, name: str, type_: str, *records: str) -> None:
        """Set the records of one name and type, as a zone file writes them: `publish("a.test", "MX", "10 b.test.")`."""
        owner = dns.name.from_text(name)
        rdataset = _parse(type_, records)
        self._records.setdefault(owner, {})[rdataset.rdtype] = rdataset
        self._names.add(owner)
        for origin in filter(owner.is_subdomain, self.origins):
            # RFC 8020: a name with something below it exists, with or without records of its own.
            self._names.update(_between(owner, origin))

    def find(self, name: dns.name.Name, type_: dns.rdatatype.RdataType) -> dns.rdataset.Rdataset | None:
        return self._records.get(name, {}).get(type_)

    def texts(self, name: str, type_: str) -> list[str]:
        """The records of a name as text, in no order."""
        rdataset = self.find(dns.name.from_text(name), dns.rdatatype.from_text(type_))
        return [rdata.to_text() for rdata in rdataset or ()]

    def exists(self, name: dns.name.Name) -> bool:
        return name in self._names or name in self.origins

    def origin_of(self, name: dns.name.Name) -> dns.name.Name | None:
        return next((origin for origin in self.origins if name.is_subdomain(origin)), None)


@lru_cache(maxsize=1024)  # to read the records is nearly all that the start of a sandbox costs
def _parse(type_: str, records: tuple[str, ...]) -> dns.rdataset.Rdataset:
    return dns.rdataset.from_text("IN", type_, TTL, *records)


def _between(name: dns.name.Name, origin: dns.name.Name) -> Iterable[dns.name.Name]:
    while name != origin:
        yield name
        name = name.parent()


def answer(zone: Zone, query: dns.message.Message) -> dns.message.Message | None:
    """What the server says to this query; None where it stays silent."""
    response = dns.message.make_response(query)
    if query.opcode() != dns.opcode.QUERY:
        response.set_rcode(dns.rcode.NOTIMP)
        return response
    if len(query.question) != 1:
        response.set_rcode(dns.rcode.FORMERR)
        return response
    name = query.question[0].name
    if _is_within(name, zone.silent):
        return None
    if _is_within(name, zone.broken):
        response.set_rcode(dns.rcode.SERVFAIL)
        return response
    return _look_up(zone, query.question[0], response)


def _look_up(zone: Zone, question: dns.rrset.RRset, response: dns.message.Message) -> dns.message.Message:
    origin = zone.origin_of(question.name)
    if origin is None or question.rdclass != dns.rdataclass.IN:
        response.set_rcode(dns.rcode.REFUSED)
        return response
    response.flags |= dns.flags.AA
    rdataset = zone.find(question.name, question.rdtype)
    if rdataset:
        response.answer.append(dns.rrset.from_rdata_list(question.name, rdataset.ttl, list(rdataset)))
        return response
    if not zone.exists(question.name):
        response.set_rcode(dns.rcode.NXDOMAIN)
    # RFC 2308 section 3: "no" comes with the zone's SOA, which says how long to remember it.
    response.authority.append(_soa(origin))
    return response


def _is_within(name: dns.name.Name, roots: Iterable[dns.name.Name]) -> bool:
    return any(name.is_subdomain(root) for root in roots)


def _soa(origin: dns.name.Name) -> dns.rrset.RRset:
    text = f"ns.sandbox.test. hostmaster.sandbox.test. 1 3600 600 86400 {TTL}"
    return dns.rrset.from_text(origin, TTL, "IN", "SOA", text)


class DnsServer:
    """Answers from `zone` on 127.0.0.1."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.address = ("127.0.0.1", 0)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> None:
        """Listen on `port`; 0 takes any port that is free for both UDP and TCP."""
        for tries_left in reversed(range(_TRIES_FOR_A_PORT if port == 0 else 1)):
            try:
                await self._listen(port)
            except OSError:
                await self.stop()
                if not tries_left:
                    raise
            else:
                return

    async def _listen(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self.zone), local_addr=("127.0.0.1", port)
        )
        self.address = self._udp.get_extra_info("sockname")[:2]
        self._tcp = await asyncio.start_server(self._connected, *self.address)

    async def stop(self) -> None:
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TCP_IDLE):
                while True:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    octets = respond(self.zone, await reader.readexactly(length), udp=False)
                    if octets:
                        writer.write(struct.pack("!H", len(octets)) + octets)
                        await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the client has what it came for, or is gone
        finally:
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Before Python 3.12 asyncio's own class was no DatagramTransport by name.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        octets = respond(self._zone, data, udp=True)
        if octets and self._transport:
            self._transport.sendto(octets, addr)


def respond(zone: Zone, octets: bytes, *, udp: bool) -> bytes:
    """The response to a query's octets; b"" where none is due, as to octets that are no DNS query."""
    try:
        query = dns.message.from_wire(octets)
    except dns.exception.DNSException:
        return b""
    if query.flags & dns.flags.QR:
        return b""
    response = answer(zone, query)
    if response is None:
        return b""
    if not udp:
        return response.to_wire(max_size=65535)
    # RFC 6891 section 6.2.5: a payload below 512 is read as 512; what does not fit is cut and marked TC.
    room = max(query.payload, PLAIN_UDP_OCTETS) if query.edns >= 0 else PLAIN_UDP_OCTETS
    return response.to_wire(max_size=room, prefer_truncation=True)
