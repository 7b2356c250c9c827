"""A name server on loopback, in a thread of its own, for the domain name system that a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from telltale.config.environment import HostPort
from telltale.sandbox.dns import DnsServer, Zone


@contextmanager
def name_server_of(zone: Zone) -> Iterator[HostPort]:
    """Where it listens."""
    server, loop = DnsServer(zone), asyncio.new_event_loop()
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield HostPort(*server.address)
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
