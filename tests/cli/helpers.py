"""Runs `telltale` as a person would: as a process, with an environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

COMMAND = [sys.executable, "-m", "telltale"]


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without the desk's, and these."""
    own = ("DATABASE_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")
    others = {
        name: value
        for name, value in os.environ.items()
        if name not in own and (not name.startswith("TELLTALE_") or name == "TELLTALE_POSTGRES_BIN")
    }
    return others | variables


def telltale(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], env=environment(**variables), capture_output=True, text=True, check=False
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Running:
    """`telltale run` or `telltale demo` as a process; `output` is what a person has read so far."""

    def __init__(self, *words: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""

    def read_until(self, words: str) -> str:
        """Reads on until a line has these words, and returns the line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if words in line:
                return line
        raise AssertionError(f"telltale ended before it said {words!r}:\n{self.output}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Waits for its end; the exit code."""
        assert self.process.stdout
        self.output += "".join(self.process.stdout)
        return self.process.wait()

    def close(self) -> None:
        assert self.process.stdout
        self.process.stdout.close()


@contextmanager
def running(*words: str, **variables: str) -> Iterator[Running]:
    desk = Running(*words, **variables)
    try:
        yield desk
    finally:
        with suppress(ProcessLookupError):
            desk.process.kill()
        desk.ended()
        desk.close()


def processes_that_name(folder: Path) -> list[str]:
    """All processes that have `folder` in their command line or in their environment."""
    return [line for line in _processes() if str(folder) in line]


def _processes() -> Iterator[str]:
    if not Path("/proc/self/environ").exists():  # macOS
        shown = subprocess.run(
            ["/bin/ps", "-A", "-E", "-ww", "-o", "command="], capture_output=True, check=True
        )
        yield from shown.stdout.decode(errors="replace").splitlines()
        return
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            command_line = (process / "cmdline").read_bytes()
            yield (command_line + _environment_of(process)).replace(b"\0", b" ").decode(errors="replace")


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except PermissionError:  # another user's, such as the database server's
        return b""
