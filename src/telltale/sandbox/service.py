"""The whole sandbox in one event loop: DNS, a server per mail host, and the postman.

async with Sandbox(desk_port=2525) as sandbox:
    ...  # resolve at sandbox.dns_address, deliver, look at sandbox.messages_for("anna@google.sandbox.test")
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

from telltale.sandbox.dns import DnsServer
from telltale.sandbox.events import Heard, Journal, Kind, StoredMail
from telltale.sandbox.hosts import HOSTS, provider_of
from telltale.sandbox.memory import Memory
from telltale.sandbox.postman import Postman
from telltale.sandbox.providers import PROVIDERS
from telltale.sandbox.server import SmtpServer
from telltale.sandbox.session import House
from telltale.sandbox.timings import Timings
from telltale.sandbox.zone import build_zone, publish_desk, publish_host


class Sandbox:
    """An async context manager. All ports are on 127.0.0.1."""

    def __init__(
        self,
        *,
        desk_port: int,
        dns_port: int = 0,
        smtp_port_base: int = 0,
        timings: Timings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`desk_port` is where the desk takes mail for its own domain. Port 0 means any free one; from another
        `smtp_port_base` on, each host of HOSTS has the next port. `clock`, in seconds, is that of the grey list.
        """
        self._desk_port = desk_port
        self._dns_port = dns_port
        self._smtp_port_base = smtp_port_base
        self._timings = timings or Timings()
        self._memory = Memory(greylist=self._timings.greylist, clock=clock)
        self._running = AsyncExitStack()
        self.journal = Journal()
        self.dns_address = ("127.0.0.1", 0)
        self.ports: dict[str, int] = {}  # host -> port

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as starting:
            await self._start(starting)
            self._running = starting.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._running.aclose()

    def messages_for(self, address: str) -> list[StoredMail]:
        """The mails that were accepted for this address, oldest first."""
        return self.journal.messages_for(address)

    async def wait_for(
        self, kind: Kind | str, *, recipient: str = "", count: int = 1, within: float = 10.0
    ) -> Heard:
        """The `count`-th event of this kind, past ones included. "" as recipient means anybody.

        Raises TimeoutError after `within` seconds.
        """
        return await self.journal.wait_for(kind, recipient=recipient, count=count, within=within)

    def observe(self, observer: Callable[[Heard], None]) -> Callable[[], None]:
        """Call `observer` with each event from now on; what is returned ends that."""
        return self.journal.observe(observer)

    async def _start(self, running: AsyncExitStack) -> None:
        zone = build_zone({})
        postman = Postman(zone, self.journal, self._timings)
        running.push_async_callback(postman.stop)
        for number, (host, greeting) in enumerate(HOSTS.items()):
            house = House(
                host,
                PROVIDERS[provider_of(host)],
                greeting,
                self._timings,
                self.journal,
                self._memory,
                postman.follow,
            )
            server = SmtpServer(house)
            running.push_async_callback(server.stop)
            self.ports[host] = await server.start(self._smtp_port_base and self._smtp_port_base + number)
            publish_host(zone, host, self.ports[host])
        publish_desk(zone, self._desk_port)
        dns_server = DnsServer(zone)
        running.push_async_callback(dns_server.stop)
        await dns_server.start(self._dns_port)
        self.dns_address = dns_server.address
