"""`telltale run`: the whole desk on one machine, from the database up.

Start: data folder, ports, PostgreSQL, what prepare.py does, the processes. Stop: the other way round.
The first Ctrl-C stops, the second hurries.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from telltale.cli import ports
from telltale.cli.database import ClusterKeeper, check_database
from telltale.cli.errors import CommandError
from telltale.cli.parts import cluster_of, complete, services
from telltale.cli.secrets import make_data_folder
from telltale.cli.service import Keeper, Service, tail
from telltale.config.environment import Environment, HostPort, load
from telltale.postgres import PostgresError
from telltale.postgres.lock import Lock

_LEFT_OVERS_GONE_WITHIN = 15.0  # seconds; what a killed supervisor left ends by itself
_PAUSE = 0.05


def run() -> int:
    """The desk of this environment, until Ctrl-C."""
    environment = load()
    with sole_desk_in(environment.data) as patience:
        check_ports(environment, patience)
        desk = Desk(environment, os.environ)
        return desk.run(lambda _path: f"The desk is open at {environment.url}\nCtrl-C stops it.")


@contextmanager
def sole_desk_in(data: Path) -> Iterator[float]:
    """Holds the data folder against a second desk. Gives the seconds that what a killed one left may need."""
    make_data_folder(data)
    lock = Lock(data / "desk.lock")
    _check_owner(lock.path)
    lock.acquire(otherwise=f"The desk in {data} runs already, as process {{pid}}. Stop that one first.")
    try:
        yield _LEFT_OVERS_GONE_WITHIN if lock.was_abandoned else 0.0
    finally:
        lock.release()


def _check_owner(lock: Path) -> None:
    """Root could open the desk of an ordinary user, and would leave files that its owner cannot read."""
    if not lock.exists() or (owner := lock.stat().st_uid) == os.geteuid():
        return
    try:
        name = lock.owner()
    except KeyError:
        name = str(owner)
    raise CommandError(
        f"The desk in {lock.parent} belongs to user {name}. Start it as that user, "
        "or set TELLTALE_DATA to another folder."
    )


def check_ports(environment: Environment, patience: float) -> None:
    web = HostPort(environment.host, environment.port)
    ports.check(web, host_variable="TELLTALE_HOST", port_variable="TELLTALE_PORT", patience=patience)
    doors = {"TELLTALE_SMTP_LISTEN": environment.smtp_listen, "TELLTALE_LMTP_LISTEN": environment.lmtp_listen}
    for variable, door in doors.items():
        if door:
            ports.check(door, host_variable=variable, port_variable=variable, patience=patience)


def say(line: str) -> None:
    print(line, flush=True)


class Desk:
    """All processes of one desk, and its own PostgreSQL where DATABASE_URL is empty."""

    def __init__(
        self,
        environment: Environment,
        variables: Mapping[str, str],
        *,
        ground: Sequence[Service] = (),
        prepare: Sequence[str] = (),
    ) -> None:
        """`ground` are services that the desk stands on: started before it, stopped after it."""
        self._environment = environment
        self._variables = complete(environment, variables)
        self._logs = environment.data / "logs"
        self._database = None if environment.database_url else ClusterKeeper(cluster_of(environment), say=say)
        self._ground = [self._keeper(service) for service in ground]
        self._parts = [self._keeper(service) for service in services(self._variables)]
        self._preparation = Service("prepare", "telltale.cli.prepare", tuple(prepare), self._variables)
        self._preparing: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def run(self, greeting: Callable[[str], str]) -> int:
        """Until a signal comes. `greeting` makes the words for the path that prepare.py gave."""
        return asyncio.run(self._live(greeting))

    def _keeper(self, service: Service) -> Keeper:
        return Keeper(service, log=self._logs / f"{service.name}.log", say=say)

    async def _live(self, greeting: Callable[[str], str]) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        try:
            path = await self._start()
            if not self._stopping.is_set():
                say(greeting(path))
            await self._stopping.wait()
        except (CommandError, PostgresError):
            if not self._stopping.is_set():  # else Ctrl-C hit what was being started: no error
                raise
        finally:
            await self._stop()
        return 0

    async def _start(self) -> str:
        if self._database:
            await self._database.start()
            self._watch(self._database.keep())
        else:
            await check_database(self._environment.database_url)
        path = await self._prepare()
        for keeper in (*self._ground, *self._parts):
            self._watch(keeper.keep())
        await self._until_open()
        return path

    async def _stop(self) -> None:
        self._stopping.set()
        for floor in (self._parts, self._ground, [self._database] if self._database else []):
            await asyncio.gather(*(keeper.stop() for keeper in floor))
        await asyncio.gather(*self._tasks)

    def _signalled(self) -> None:
        if not self._stopping.is_set():
            self._stopping.set()
            say("\nStopping. Once more hurries.")
            self._end_preparation()
            return
        for keeper in (*self._parts, *self._ground):
            keeper.kill()
        if self._database:
            self._database.kill()

    def _watch(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        # It ends when we stop. Where it ends by a fault of ours, all stops, and _stop raises the fault.
        task.add_done_callback(lambda _task: self._stopping.set())
        self._tasks.append(task)

    async def _prepare(self) -> str:
        """Runs prepare.py, and returns what it says."""
        if self._stopping.is_set():
            return ""
        log = self._logs / "prepare.log"
        log.parent.mkdir(mode=0o700, exist_ok=True)
        with log.open("wb") as file:
            self._preparing = await self._preparation.spawn(stdout=asyncio.subprocess.PIPE, stderr=file)
        if self._stopping.is_set():  # Ctrl-C while the process was being started
            self._end_preparation()
        said, _ = await self._preparing.communicate()
        if self._preparing.returncode != 0:
            raise CommandError(f"The desk could not be prepared. {log} ends with:\n{tail(log)}")
        return said.decode().strip()

    def _end_preparation(self) -> None:
        """A migration may take long; each of its steps is a transaction, and the next start goes on with it."""
        if self._preparing and self._preparing.returncode is None:
            with suppress(ProcessLookupError):
                self._preparing.terminate()

    async def _until_open(self) -> None:
        """Returns when the web server answers, or when we are told to stop."""
        while not self._stopping.is_set():
            try:
                _, writer = await asyncio.open_connection(self._environment.host, self._environment.port)
            except OSError:
                await asyncio.sleep(_PAUSE)
            else:
                writer.close()
                return
