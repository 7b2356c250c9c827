"""The database under the desk: its own PostgreSQL, kept alive, or the one that DATABASE_URL names.

A ClusterKeeper has the verbs of service.Keeper.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from telltale.cli.errors import CommandError
from telltale.cli.service import FIRST_PAUSE, LONGEST_PAUSE, Say, set_aside
from telltale.postgres import Cluster, PostgresError
from telltale.postgres.programs import OLDEST

_ANSWERS_WITHIN = 10  # seconds


async def check_database(url: str) -> None:
    """Raises CommandError where DATABASE_URL leads to no PostgreSQL that the desk can use."""
    import psycopg  # slow to import, and `telltale --version` needs none

    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=_ANSWERS_WITHIN) as connection:
            version = connection.info.server_version // 10_000
            [synchronous_commit] = await (await connection.execute("SHOW synchronous_commit")).fetchone() or [
                ""
            ]
    except psycopg.OperationalError as error:
        # libpq's words, without the password and on one line.
        raise CommandError(f"DATABASE_URL leads to no database: {' '.join(str(error).split())}") from None
    if version < OLDEST:
        raise CommandError(f"DATABASE_URL leads to PostgreSQL {version}; Telltale needs {OLDEST} or newer.")
    if synchronous_commit == "off":
        # A server that crashes would forget that a mail went out, and it would go out again unsaid.
        raise CommandError(
            "DATABASE_URL leads to a PostgreSQL that confirms what it has not written yet. "
            "Set synchronous_commit = on for the desk: ALTER ROLE … SET synchronous_commit = on."
        )


class ClusterKeeper:
    """Starts the cluster again where it ends by itself. `start` comes first, `keep` runs until `stop`."""

    def __init__(self, cluster: Cluster, *, say: Say, first_pause: float = FIRST_PAUSE) -> None:
        self.cluster = cluster
        self._say = say
        self._first_pause = first_pause
        self._stopping = asyncio.Event()
        self._turn = asyncio.Lock()  # Ctrl-C may come while the cluster is being started

    async def start(self) -> None:
        set_aside(self.cluster.log)
        async with self._turn:
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
        async with self._turn:
            await asyncio.to_thread(self.cluster.stop)

    def kill(self) -> None:
        """Hurries a stop that is under way. The next start recovers what was not written."""
        self._stopping.set()
        self.cluster.hurry()

    async def _revive(self) -> None:
        pause = self._first_pause
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            if await self._is_started_again():
                return
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _is_started_again(self) -> bool:
        async with self._turn:
            await asyncio.to_thread(self.cluster.stop)
            if self._stopping.is_set():
                return False
            try:
                await asyncio.to_thread(self.cluster.start)
            except PostgresError as error:
                if not self._stopping.is_set():  # else it ended because we are in a hurry
                    self._say(str(error))
                return False
            return True
