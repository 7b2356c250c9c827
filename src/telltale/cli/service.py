"""One process of the desk, kept alive until it is told to stop.

Rule 1: a process that dies is started again, later each time; a person reads it in one line.
Rule 2: Ctrl-C reaches the supervisor alone. It decides who stops when.
Rule 3: no process outlives the supervisor, however that ends: see leash.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

FIRST_PAUSE = 1.0  # seconds before a process that died is started again; doubled each time
LONGEST_PAUSE = 30.0
HEALTHY_AFTER = 60.0  # seconds of life after which the next death counts as the first
LONGEST_LOG = 10_000_000  # octets; at a start, a longer one is set aside as *.log.1
_SHOWN_LINES = 6

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Service:
    """What is to run: `python -m module arguments…`."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    stopped_within: float = 10.0  # seconds from SIGTERM to SIGKILL

    @property
    def command(self) -> list[str]:
        # -P: a file of the folder that we are started in must not take the place of a library.
        return [sys.executable, "-P", "-m", "telltale.cli.leash", self.module, *self.arguments]

    async def spawn(self, *, stdout: IO[bytes] | int, stderr: IO[bytes] | int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE,  # the leash
            stdout=stdout,
            stderr=stderr,
            env=dict(self.environment),
            start_new_session=True,
        )


class Keeper:
    """Keeps one service alive. `keep` runs until `stop` is called."""

    def __init__(self, service: Service, *, log: Path, say: Say, first_pause: float = FIRST_PAUSE) -> None:
        self.service = service
        self.log = log
        self.deaths = 0
        self._say = say
        self._first_pause = first_pause
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def keep(self) -> None:
        set_aside(self.log)
        pause = self._first_pause
        while not self._stopping.is_set():
            started = time.monotonic()
            exit_code = await self._live()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > HEALTHY_AFTER:
                pause = self._first_pause
            self._say(self._obituary(exit_code, pause))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def stop(self) -> None:
        """Asks the process to end, and ends it where it does not. Returns when it is gone."""
        self._stopping.set()
        if not self._process or self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), self.service.stopped_within)
        except TimeoutError:
            self._say(f"{self.service.name} does not stop, and is killed. The next start takes up its work.")
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        self._stopping.set()
        self._signal(signal.SIGKILL)

    async def _live(self) -> int:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await self.service.spawn(stdout=log, stderr=log)
        if self._stopping.is_set():  # Ctrl-C while the process was being started
            self._signal(signal.SIGTERM)
        return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _obituary(self, exit_code: int, pause: float) -> str:
        self.deaths += 1
        how = f"exit code {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"
        return (
            f"{self.service.name} ended ({how}), and starts again in {pause:g} s. {self.log} ends with:\n"
            f"{tail(self.log)}"
        )


def tail(log: Path) -> str:
    """The last lines of a log, set in, for a person who is to see why."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4000))
        lines = file.read().decode(errors="backslashreplace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-_SHOWN_LINES:])


def set_aside(log: Path) -> None:
    """Begins a new log where the old one has grown long."""
    if log.exists() and log.stat().st_size > LONGEST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))
