"""What a domain says of its mail hosts over HTTPS: MTA-STS, RFC 8461.

Rule 1: a policy that we have and that has not run out holds, whatever DNS and HTTPS say now: section 5.1.
Rule 2: a policy that we cannot get is none. Nothing here raises for the world's failures.
Rule 3: a policy host is a stranger: little time, few octets, no redirects, a certificate that verifies.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import re
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, cast

from telltale.smtp.route import NoRoute, Resolver, look_up

HTTPS_PORT = 443
FETCH_SECONDS = 60.0  # for all of it: RFC 8461 section 3.3 suggests one minute
LARGEST_POLICY = 64 * 1024  # octets, RFC 8461 section 3.3
LARGEST_ANSWER = LARGEST_POLICY + 16 * 1024  # octets: the policy behind the header of an HTTP response
LONGEST_AGE = 31_557_600  # seconds of max_age, RFC 8461 section 3.2
MOST_PATTERNS = 200
MOST_DOMAINS = 10_000  # that are remembered
LOOK_AGAIN = timedelta(minutes=5)  # RFC 8461 section 3.3: not more often after a failure

_RECORD = re.compile(r"v=STSv1[ \t]*;")  # RFC 8461 section 3.1
_ID = re.compile(r";[ \t]*id=([A-Za-z0-9]{1,32})[ \t]*(?:;|$)")


class Mode(StrEnum):
    """What a sender is to do with hosts that do not fit: RFC 8461 section 5."""

    ENFORCE = "enforce"  # send nothing to them
    TESTING = "testing"  # send, and report
    NONE = "none"  # as if there were no policy


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """One policy: RFC 8461 section 3.2. `mx` are names, or patterns such as "*.example.net"."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int  # seconds

    @classmethod
    def parse(cls, octets: bytes) -> StsPolicy:
        """Raises ValueError where it is no policy, and says why."""
        fields: dict[str, list[str]] = {}
        for line in octets.decode("ascii", "replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), []).append(value.strip())
        if fields.get("version", [""])[0] != "STSv1":
            raise ValueError("it does not say version: STSv1")
        mode = fields.get("mode", [""])[0]
        if mode not in list(Mode):
            raise ValueError(f"it has no mode that RFC 8461 knows, but {mode[:40]!r}")
        mx = tuple(_name(pattern) for pattern in fields.get("mx", ()))[:MOST_PATTERNS]
        if not mx and mode != Mode.NONE:
            raise ValueError("it names no mx")
        return cls(Mode(mode), mx, _max_age(fields.get("max_age", [""])[0]))

    def matches(self, host: str) -> bool:
        """RFC 8461 section 4.1: "*" stands for one label, the leftmost."""
        name = _name(host)
        return name in self.mx or f"*.{name.partition('.')[2]}" in self.mx


def _name(text: str) -> str:
    return text.lower().removesuffix(".")


def _max_age(digits: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10):
        raise ValueError(f"its max_age is no number of seconds, but {digits[:40]!r}")
    return min(int(digits), LONGEST_AGE)


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """A policy as it was fetched, under the id that DNS gave for it."""

    policy: StsPolicy
    id: str
    fetched_at: datetime

    def holds(self, now: datetime) -> bool:
        return now < self.fetched_at + timedelta(seconds=self.policy.max_age)


class PolicyStore(Protocol):
    """Keeps policies: in memory, or where several processes share them and they outlive a restart."""

    async def get(self, domain: str) -> StoredPolicy | None: ...
    async def put(self, domain: str, stored: StoredPolicy) -> None: ...


class MemoryStore:
    """The policies of the domains that were asked for last."""

    def __init__(self, most: int = MOST_DOMAINS) -> None:
        self._most = most
        self._stored: OrderedDict[str, StoredPolicy] = OrderedDict()

    async def get(self, domain: str) -> StoredPolicy | None:
        if domain in self._stored:
            self._stored.move_to_end(domain)
        return self._stored.get(domain)

    async def put(self, domain: str, stored: StoredPolicy) -> None:
        self._stored[domain] = stored
        self._stored.move_to_end(domain)
        while len(self._stored) > self._most:
            self._stored.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What holds for a domain now. `text` is a sentence for the transcript; "" where there is nothing to say."""

    policy: StsPolicy | None = None
    text: str = ""


class MtaSts:
    """Finds the policies of domains. Use it within one event loop."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        store: PolicyStore | None = None,
        authorities: ssl.SSLContext | None = None,
        port: int = HTTPS_PORT,
        seconds: float = FETCH_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`authorities` verifies the policy host's certificate; by default those of the system."""
        self._resolver = resolver
        self._store = store or MemoryStore()
        self._context = authorities or ssl.create_default_context()
        self._port = port
        self._seconds = seconds
        self._clock = clock
        self._looked: OrderedDict[str, tuple[datetime, Finding]] = (
            OrderedDict()
        )  # until when it is not looked again
        self._looking: dict[str, asyncio.Task[Finding]] = {}

    async def find(self, domain: str) -> Finding:
        """The policy of a domain (in A-labels). Many who ask at once make one look-up."""
        until, finding = self._looked.get(domain, (None, Finding()))
        if until and self._clock() < until:
            return finding
        if domain not in self._looking:
            task = self._looking[domain] = asyncio.create_task(self._find(domain))
            task.add_done_callback(lambda _: self._looking.pop(domain, None))
        return await asyncio.shield(self._looking[domain])

    async def close(self) -> None:
        """End the look-ups that nobody waits for any more."""
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def _find(self, domain: str) -> Finding:
        stored = await self._store.get(domain)
        if stored and not stored.holds(self._clock()):
            stored = None
        id_ = await self._published_id(domain)
        finding = Finding(stored.policy) if stored else Finding()
        if id_ and not (stored and stored.id == id_):
            finding = await self._fetched(domain, id_, stored)
        self._looked[domain] = (self._clock() + LOOK_AGAIN, finding)
        self._looked.move_to_end(domain)
        while len(self._looked) > MOST_DOMAINS:
            self._looked.popitem(last=False)
        return finding

    async def _published_id(self, domain: str) -> str:
        """The id that says which policy is the newest: RFC 8461 section 3.1; "" where there is no one id."""
        found = await look_up(f"_mta-sts.{domain}", "TXT", self._resolver)
        if isinstance(found, NoRoute):
            return ""
        texts = [b"".join(record.strings).decode("ascii", "replace") for record in found.records]
        records = [text for text in texts if _RECORD.match(text)]
        match = _ID.search(records[0]) if len(records) == 1 else None
        return match[1] if match else ""

    async def _fetched(self, domain: str, id_: str, stored: StoredPolicy | None) -> Finding:
        """The policy under a new id; where it cannot be had, the one that still holds."""
        try:
            policy = StsPolicy.parse(await self._fetch(f"mta-sts.{domain}"))
        except (OSError, ValueError, http.client.HTTPException) as fault:
            so = "the one from before still holds" if stored else "going on without"
            words = str(fault) or type(fault).__name__
            text = f"MTA-STS: {domain} has a policy that could not be read ({words}); {so}"
            return Finding(stored.policy if stored else None, text)
        await self._store.put(domain, StoredPolicy(policy, id_, self._clock()))
        return Finding(policy)

    async def _fetch(self, host: str) -> bytes:
        """Raises OSError, ValueError or HTTPException with the words for why not."""
        try:
            async with asyncio.timeout(self._seconds):
                address = await self._address(host)
                return _body(await self._exchange(host, address))
        except TimeoutError as fault:
            raise ValueError(f"{host} took longer than {self._seconds:g} seconds") from fault

    async def _address(self, host: str) -> str:
        for rdtype in ("A", "AAAA"):
            found = await look_up(host, rdtype, self._resolver)
            if isinstance(found, NoRoute):
                raise ValueError(found.text)  # noqa: TRY004 - what DNS said, no wrong type of ours
            if found.records:
                return str(found.records[0].address)
        raise ValueError(f"{host} has no address")

    async def _exchange(self, host: str, address: str) -> bytes:
        reader, writer = await asyncio.open_connection(
            address, self._port, ssl=self._context, server_hostname=host, limit=LARGEST_ANSWER
        )
        try:
            request = f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            answer = bytearray()
            while len(answer) <= LARGEST_ANSWER and (octets := await reader.read(LARGEST_ANSWER)):
                answer += octets
        finally:
            writer.transport.abort()
        return bytes(answer)


class _Heard:
    """Octets that have arrived, in the shape in which http.client takes them."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> io.BufferedIOBase:
        return io.BytesIO(self._octets)


def _body(answer: bytes) -> bytes:
    """The body of an HTTP response that has come whole. No redirect is followed: RFC 8461 section 3.3."""
    if len(answer) > LARGEST_ANSWER:
        raise ValueError(f"it is larger than {LARGEST_POLICY:,} octets")
    response = http.client.HTTPResponse(cast(Any, _Heard(answer)))
    response.begin()
    if response.status != http.HTTPStatus.OK:
        raise ValueError(f"the answer was {response.status} {response.reason[:100]}")
    body = response.read()
    if len(body) > LARGEST_POLICY:
        raise ValueError(f"it is larger than {LARGEST_POLICY:,} octets")
    return body
