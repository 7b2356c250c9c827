"""Keeps the desk's own PostgreSQL alive: service.Keeper's three verbs for a Cluster."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from telltale.cli.service import FIRST_PAUSE, LONGEST_PAUSE, Say, set_aside
from telltale.postgres import Cluster, PostgresError


class ClusterKeeper:
    """Starts the cluster again where it ends by itself. `start` comes first, `keep` runs until `stop`."""

    def __init__(self, cluster: Cluster, *, say: Say, first_pause: float = FIRST_PAUSE) -> None:
        self.cluster = cluster
        self._say = say
        self._first_pause = first_pause
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        set_aside(self.cluster.log)
        await asyncio.to_thread(self.cluster.start)

    async def keep(self) -> None:
        while not self._stopping.is_set():
            exit_code = await asyncio.to_thread(self.cluster.wait)
            if self._stopping.is_set():
                return
            self._say(
                f"PostgreSQL ended with exit code {exit_code}, and starts again: see {self.cluster.log}"
            )
            await self._revive()

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.to_thread(self.cluster.stop)

    def kill(self) -> None:
        """Hurries a stop that is under way. The next start recovers what was not written."""
        self._stopping.set()
        self.cluster.hurry()

    async def _revive(self) -> None:
        pause = self._first_pause
        while not self._stopping.is_set():
            await asyncio.to_thread(self.cluster.stop)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            try:
                await asyncio.to_thread(self.cluster.start)
            except PostgresError as error:
                self._say(str(error))
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                break
        if self._stopping.is_set():  # Ctrl-C while it was being started
            await asyncio.to_thread(self.cluster.stop)
