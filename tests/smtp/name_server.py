"""A name server on UDP and TCP of one loopback port, as a resolver meets it: it follows aliases, and may say that
it has validated what it answers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from telltale.smtp.route import MailResolver, make_resolver

Records = dict[tuple[str, str], Sequence[str]]
LONGEST_ALIAS_CHAIN = 20


class NameServer:
    """Answers from `records`. `codes` are names that fail with an RCODE, `silent` those that get no answer."""

    def __init__(self, records: Records, *, codes: dict[str, str], silent: set[str], validated: bool) -> None:
        self.records = records
        self.asked: list[tuple[str, str]] = []
        self._codes = {dns.name.from_text(name): dns.rcode.from_text(code) for name, code in codes.items()}
        self._silent = {dns.name.from_text(name) for name in silent}
        self._validated = validated

    def answer(self, octets: bytes, *, udp: bool) -> bytes:
        query = dns.message.from_wire(octets)
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        self.asked.append((question.name.to_text(True), dns.rdatatype.to_text(question.rdtype)))
        if question.name in self._silent:
            return b""
        if question.name in self._codes:
            response.set_rcode(self._codes[question.name])
        else:
            self._look_up(question.name, question.rdtype, response)
        if self._validated and query.flags & dns.flags.AD:
            response.flags |= dns.flags.AD
        room = max(query.payload, 512) if udp else 65535
        return response.to_wire(max_size=room, prefer_truncation=True)

    def _look_up(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, response: dns.message.Message
    ) -> None:
        for _ in range(LONGEST_ALIAS_CHAIN):
            texts = self._find(name, dns.rdatatype.to_text(rdtype))
            if texts:
                response.answer.append(dns.rrset.from_text_list(name, 60, "IN", rdtype, texts))
                return
            alias = self._find(name, "CNAME")
            if not alias:
                break
            response.answer.append(dns.rrset.from_text_list(name, 60, "IN", "CNAME", alias))
            name = dns.name.from_text(alias[0])
        if not any(dns.name.from_text(known).is_subdomain(name) for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    def _find(self, name: dns.name.Name, rdtype: str) -> Sequence[str]:
        return self.records.get((name.to_text(omit_final_dot=True).lower(), rdtype), ())


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        octets = self._server.answer(data, udp=True)
        if octets:
            self._transport.sendto(octets, addr)


@asynccontextmanager
async def name_server(
    records: Records,
    *,
    codes: dict[str, str] | None = None,
    silent: set[str] | None = None,
    validated: bool = False,
    trusts_ad: bool | None = None,
) -> AsyncIterator[tuple[NameServer, MailResolver]]:
    """The server, and a resolver that asks it."""
    server = NameServer(records, codes=codes or {}, silent=silent or set(), validated=validated)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        octets = server.answer(await reader.readexactly(length), udp=False)
        writer.write(struct.pack("!H", len(octets)) + octets)
        writer.close()

    tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = tcp.sockets[0].getsockname()
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(server), local_addr=address
    )
    try:
        yield server, make_resolver(address, trusts_ad=trusts_ad)
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()
