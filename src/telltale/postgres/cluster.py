"""One PostgreSQL of the desk's own: its folder, its life, the way to it.

    <folder>/           belongs to the desk; the server may pass through
        owner.lock      held by the process that started the server
        server.lock     held by every process of the server
        pg_hba.conf     who may connect; out of the server's own hands
        pg_ident.conf
        data/           the server's alone
        socket/         the server's alone; where the path is too long for a socket, one below /tmp

Rule: what is in `data` is whole. It is made beside it and renamed when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from telltale.postgres.account import Account, account_for, current_account
from telltale.postgres.errors import FolderInUseError, PostgresError
from telltale.postgres.lock import Lock
from telltale.postgres.programs import Programs, find_programs

ADMIN = "postgres"  # the role that owns the cluster; the desk itself has no such rights
DESK = "telltale"  # the desk's role and its database
PORT = 5432  # part of the socket's name; no TCP port is opened
# sockaddr_un holds 104 octets on macOS and 108 on Linux, the zero at the end among them.
_LONGEST_SOCKET = 103 - len(f"/.s.PGSQL.{PORT}")
_READY_WITHIN = 300.0  # seconds; recovery after a crash under load takes its time
_STOPPED_WITHIN = 60.0
_PAUSE = 0.02
_LOG_LINES = 12  # lines of the server's log that a failure shows

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "cluster_name": "telltale",
    "fsync": "on",
}
# synchronous_commit stays on: what the tests crash is the server, and that may lose nothing it has confirmed.
_FOR_TESTS = {"fsync": "off", "full_page_writes": "off"}


class Cluster:
    """The server for the data in `folder`. With `durable=False` it may lose data on a power cut."""

    def __init__(
        self, folder: Path, *, log: Path, chosen_programs: Path | None = None, durable: bool = True
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = log
        self._chosen_programs = chosen_programs
        self._durable = durable
        self._owner = Lock(folder / "owner.lock")
        self._guard: subprocess.Popen[bytes] | None = None

    def dsn(self, *, role: str = DESK, database: str = DESK) -> str:
        """The URL that psycopg and Django connect with, whether or not the server runs."""
        host = quote(str(self._socket_folder()), safe="")
        return f"postgresql:///{database}?host={host}&port={PORT}&user={role}"

    def start(self) -> None:
        """Makes the cluster where it is missing, starts the server, and returns when it serves.

        Raises FolderInUseError where another process has it, PostgresError where it cannot serve. What
        killed processes left is cleared up first; a server that they left running is stopped.
        """
        programs = find_programs(self._chosen_programs)
        _make_folder(self.folder, mode=0o711 if os.geteuid() == 0 else 0o700)
        self._own()
        try:
            self._start(programs)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the server: clients are sent away, all is written."""
        if guard := self._guard:
            _end(guard)
            self._guard = None
        self._owner.release()

    def hurry(self) -> None:
        """Makes the server end at once, also while a thread waits in `stop`. The next start recovers."""
        if (guard := self._guard) and guard.poll() is None:
            guard.terminate()

    def remove(self) -> None:
        """Removes the cluster with all its data. Raises FolderInUseError where somebody uses it."""
        if not self.folder.exists():
            return
        self._own()
        server_lock = self._lock_out_left_overs(account_for(self.data))
        try:
            shutil.rmtree(self._socket_folder(), ignore_errors=True)
            shutil.rmtree(self.folder)
        finally:
            server_lock.close()
            self._owner.release()

    def wait(self) -> int:
        """Waits until the server has ended, and gives the exit code of its guard."""
        if not self._guard:
            raise ValueError("the server was not started")
        return self._guard.wait()

    def is_serving(self) -> bool:
        """Whether somebody, in this process or in another, has started the server."""
        return self._status() == "ready"

    def _own(self) -> None:
        self._owner.acquire(otherwise=f"Process {{pid}} uses the PostgreSQL in {self.folder}. Stop it first.")

    def _start(self, programs: Programs) -> None:
        account = account_for(self.data)
        self._check_reach(account)
        programs = programs.within_reach_of(account, copies=self.folder)
        server_lock = self._lock_out_left_overs(account)
        try:
            self._create_if_missing(programs, account)
            self._check_version(programs)
            self._prepare(account)
            self._launch(programs, account, server_lock)
        finally:
            server_lock.close()
        self._wait_until_ready()
        self._greet()

    def _check_reach(self, account: Account) -> None:
        if not account.can_enter(self.folder):
            barrier = account.barrier(self.folder)
            mode = stat.S_IMODE(barrier.stat().st_mode)
            raise PostgresError(
                f"PostgreSQL runs as user {account.name}, who may not enter {barrier} (mode {mode:04o}). "
                "Set TELLTALE_DATA to a folder elsewhere, such as /var/lib/telltale."
            )
        if self.data.exists() and os.geteuid() not in (0, account_for(self.data).uid):
            raise PostgresError(f"The data in {self.data} belong to another user.")

    def _lock_out_left_overs(self, account: Account) -> Lock:
        """The lock that every process of the server will hold, once those of an earlier server are gone."""
        lock = Lock(self.folder / "server.lock")
        deadline = time.monotonic() + _STOPPED_WITHIN
        told = False
        while True:
            try:
                lock.acquire(otherwise=f"A PostgreSQL in {self.folder} that was left running does not stop.")
            except FolderInUseError:
                if time.monotonic() > deadline:
                    raise
                if not told and (pid := self._postmaster()):
                    account.run(["kill", "-INT", str(pid)])  # as the account: it cannot hit anybody else's
                    told = True
                time.sleep(_PAUSE)
            else:
                self._forget_the_dead()
                return lock

    def _forget_the_dead(self) -> None:
        """Removes the lock files of a killed server.

        PostgreSQL takes one for a living server's where another process has its number by now, as happens in
        containers, where numbers start over.
        """
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self._socket_folder() / name).unlink(missing_ok=True)

    def _create_if_missing(self, programs: Programs, account: Account) -> None:
        if self.data.exists():
            return
        unfinished = self.folder / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        _make_folder(unfinished, mode=0o700, account=account)
        done = account.run(self._initdb(programs, unfinished), cwd=self.folder)
        if done.returncode != 0:
            raise PostgresError(f"initdb failed.\n{done.stdout}{done.stderr}".rstrip())
        unfinished.rename(self.data)

    def _initdb(self, programs: Programs, data: Path) -> list[str | Path]:
        durability = [] if self._durable else ["--no-sync"]
        return [
            programs.initdb,
            f"--pgdata={data}",
            f"--username={ADMIN}",
            "--encoding=UTF8",
            "--auth=peer",
            "--data-checksums",
            *_locale_options(programs),
            *durability,
        ]

    def _check_version(self, programs: Programs) -> None:
        try:
            major = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise PostgresError(f"{self.data} holds no PostgreSQL data. Nothing in it was changed.") from None
        if major != str(programs.major):
            raise PostgresError(
                f"The data in {self.data} were written by PostgreSQL {major}; these programs are version "
                f"{programs.version}. Nothing was changed. Set TELLTALE_POSTGRES_BIN to the programs of "
                f"PostgreSQL {major}, or move the data with pg_dump and psql."
            )

    def _prepare(self, account: Account) -> None:
        """What may be written anew at every start: who may connect, and a private place for the socket."""
        us = current_account().name.replace('"', '""')
        _write(self.folder / "pg_hba.conf", f"local all {ADMIN},{DESK} peer map=desk\n")
        _write(self.folder / "pg_ident.conf", "".join(f'desk "{us}" {role}\n' for role in (ADMIN, DESK)))
        _make_private_folder(self._socket_folder(), account)
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _launch(self, programs: Programs, account: Account, server_lock: Lock) -> None:
        """Starts the guard, and through it the server. Both end when this process does."""
        lock = server_lock.fileno()
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(  # noqa: S603  (our own words, no shell)
                [
                    sys.executable,
                    "-m",
                    "telltale.postgres.guard",
                    account.name,
                    str(lock),
                    *self._server(programs),
                ],
                stdin=subprocess.PIPE,  # its other end closes with this process, even with SIGKILL
                stdout=log,
                stderr=log,
                cwd=self.folder,
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C is for the desk, which stops the server last
            )

    def _server(self, programs: Programs) -> list[str]:
        settings = _SETTINGS | ({} if self._durable else _FOR_TESTS)
        settings["unix_socket_directories"] = '"' + str(self._socket_folder()).replace('"', '""') + '"'
        settings["hba_file"] = str(self.folder / "pg_hba.conf")
        settings["ident_file"] = str(self.folder / "pg_ident.conf")
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(programs.postgres), "-D", str(self.data), *options]

    def _wait_until_ready(self) -> None:
        assert self._guard  # noqa: S101  (for the type checker: _launch was called)
        deadline = time.monotonic() + _READY_WITHIN
        while self._status() != "ready":
            if self._guard.poll() is not None:
                raise PostgresError(
                    f"PostgreSQL ended at once. Its log, {self.log}, ends with:\n{self._log_tail()}"
                )
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"PostgreSQL is not ready after {_READY_WITHIN:.0f} seconds: see {self.log}."
                )
            time.sleep(_PAUSE)

    def _greet(self) -> None:
        """The first connection to a server that says it is ready: it may end all the same, or be told to."""
        import psycopg  # slow to import, and `telltale --version` needs none

        try:
            self._create_role_and_database()
        except psycopg.OperationalError as error:
            raise PostgresError(f"PostgreSQL does not answer: {error}\nSee {self.log}.") from error

    def _create_role_and_database(self) -> None:
        import psycopg

        with psycopg.connect(self.dsn(role=ADMIN, database="postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DESK]).fetchone():
                connection.execute(f"CREATE ROLE {DESK} LOGIN")
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DESK]).fetchone():
                connection.execute(f"CREATE DATABASE {DESK} OWNER {DESK}")
        with psycopg.connect(self.dsn(role=ADMIN), autocommit=True) as connection:
            rows = connection.execute(
                "SELECT name FROM pg_available_extensions WHERE name IN ('pg_trgm', 'unaccent')"
                " AND installed_version IS NULL"
            ).fetchall()
            for (name,) in rows:
                connection.execute(f"CREATE EXTENSION {name}")

    def _socket_folder(self) -> Path:
        inside = self.folder / "socket"
        # libpq reads a comma in a host as the end of one host and the beginning of another.
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET and "," not in str(inside):
            return inside
        name = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:16]
        return Path("/tmp") / f"telltale-{name}"  # noqa: S108  (private and checked: _make_private_folder)

    def _postmaster(self) -> int | None:
        lines = self._postmaster_file()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def _status(self) -> str:
        """What the server says of itself in line 8: "starting", "ready", "stopping"; "" for silence."""
        lines = self._postmaster_file()
        return lines[7].strip() if len(lines) > 7 else ""

    def _postmaster_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, PermissionError):
            return []

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="backslashreplace").splitlines()[-_LOG_LINES:])


def _locale_options(programs: Programs) -> Sequence[str]:
    """Unicode's rules for letters, byte order for sorting, the same on every machine and for ever.

    An order that the operating system brings may change with its next release and break every index.
    """
    if programs.major >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]


def _make_folder(folder: Path, *, mode: int, account: Account | None = None) -> None:
    """Makes a folder where there is none. One that is there stays as it is."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            _make_folder(parent, mode=mode)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    if account and account.is_another:
        os.chown(folder, account.uid, account.gid)
    folder.chmod(mode)  # mkdir's own mode is cut by the umask


def _make_private_folder(folder: Path, account: Account) -> None:
    _make_folder(folder, mode=0o700, account=account)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or stat.S_IMODE(found.st_mode) & 0o077:
        raise PostgresError(f"{folder} should be a folder of user {account.name} with mode 0700. Remove it.")


def _write(path: Path, content: str) -> None:
    """Writes a file that the server may read and not change."""
    new = path.with_suffix(".new")
    new.write_text(content, encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)


def _end(guard: subprocess.Popen[bytes]) -> None:
    assert guard.stdin  # noqa: S101  (for the type checker: it was made with a pipe)
    guard.stdin.close()
    guard.wait()
