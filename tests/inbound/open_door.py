"""The doors in a thread of this process, so that a test can look behind them."""

from __future__ import annotations

import asyncio
import threading
from asyncio import Server
from collections.abc import Iterator
from contextlib import contextmanager

from telltale.config.environment import HostPort
from tests.delivery.test_worker import PATIENCE

ANYWHERE = HostPort("127.0.0.1", 0)


class OpenDoor:
    """The SMTP door, and the LMTP door beside it."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._opened.wait(PATIENCE)

    async def _serve(self) -> None:
        # These set Django up, which the tests have done.
        from telltale.inbound.door import Door, listen, listen_for_lmtp

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.door = Door()
        async with (
            await listen(self.door, ANYWHERE) as smtp,
            await listen_for_lmtp(self.door, ANYWHERE) as lmtp,
        ):
            self.port, self.lmtp_port = _port(smtp), _port(lmtp)
            self._opened.set()
            await self._stop.wait()

    def read_stored(self) -> None:
        """Begin to read, as the process does."""
        asyncio.run_coroutine_threadsafe(self._begin_to_read(), self._loop).result(PATIENCE)

    async def _begin_to_read(self) -> None:
        self._reading = [
            asyncio.create_task(task) for task in (self.door.read_stored(), self.door.listen_for_events())
        ]

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)


def _port(server: Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


@contextmanager
def open_door() -> Iterator[OpenDoor]:
    opened = OpenDoor()
    try:
        yield opened
    finally:
        opened.close()
