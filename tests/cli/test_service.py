"""A process is kept alive, told to stop, and never left behind."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from telltale.cli.service import LONGEST_LOG, Keeper, Service, set_aside, tail
from tests.cli.helpers import environment


class Ear:
    """Hears what the supervisor says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._heard = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        task = asyncio.create_task(self._tell())
        self._tasks.add(task)

    async def _tell(self) -> None:
        async with self._heard:
            self._heard.notify_all()

    async def wait_for(self, number: int) -> None:
        async with self._heard, asyncio.timeout(20):
            await self._heard.wait_for(lambda: len(self.lines) >= number)


def service(folder: Path, code: str, *, stopped_within: float = 10.0) -> Service:
    (folder / "small_child.py").write_text(code)
    variables = environment(PYTHONPATH=str(folder))
    return Service("small", "small_child", (), variables, stopped_within=stopped_within)


def line_in(log: Path, line: str) -> None:
    """Waits for another process to write this line: a file tells nobody that it grew."""
    deadline = time.monotonic() + 20
    while not log.exists() or line not in log.read_text().splitlines():
        assert time.monotonic() < deadline, f"{line!r} does not come"
        time.sleep(0.01)


async def test_a_process_that_dies_is_started_again_and_each_time_later(tmp_path: Path):
    ear = Ear()
    code = "print('could not find the moon', flush=True); raise SystemExit(3)"
    keeper = Keeper(service(tmp_path, code), log=tmp_path / "small.log", say=ear, first_pause=0.01)
    keeping = asyncio.create_task(keeper.keep())

    await ear.wait_for(3)
    await keeper.stop()
    await keeping

    for line, pause in zip(ear.lines, ("0.01", "0.02", "0.04"), strict=False):
        assert line.startswith(f"small ended (exit code 3), and starts again in {pause} s.")
        assert line.endswith("could not find the moon")


async def test_a_process_may_finish_what_it_does_when_it_is_told_to_stop(tmp_path: Path):
    ear, log = Ear(), tmp_path / "small.log"
    code = """\
import signal, threading
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
print("ready", flush=True)
told.wait()
print("finished", flush=True)
"""
    keeper = Keeper(service(tmp_path, code), log=log, say=ear)
    keeping = asyncio.create_task(keeper.keep())
    await asyncio.to_thread(line_in, log, "ready")

    await keeper.stop()
    await keeping

    assert log.read_text() == "ready\nfinished\n"
    assert ear.lines == []


async def test_a_process_that_does_not_stop_is_killed(tmp_path: Path):
    ear, log = Ear(), tmp_path / "small.log"
    code = """\
import signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
threading.Event().wait()
"""
    keeper = Keeper(service(tmp_path, code, stopped_within=0.1), log=log, say=ear)
    keeping = asyncio.create_task(keeper.keep())
    await asyncio.to_thread(line_in, log, "ready")
    pid = keeper.pid
    assert pid

    await keeper.stop()
    await keeping

    assert ear.lines == ["small does not stop, and is killed. The next start takes up its work."]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_ends_with_its_supervisor_even_when_that_is_killed(tmp_path: Path):
    (tmp_path / "small_child.py").write_text("print('ready', flush=True)\nimport time\ntime.sleep(600)\n")
    supervisor = f"""\
import asyncio, sys
from telltale.cli.service import Service
async def main():
    small = Service("small", "small_child", (), {{"PYTHONPATH": {str(tmp_path)!r}}})
    await (await small.spawn(stdout=sys.stdout, stderr=sys.stderr)).wait()
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", supervisor], env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"

        process.kill()

        # The child holds the other end of this pipe: the end of the file is the end of the child.
        assert process.stdout.read() == ""


def test_a_long_log_is_set_aside_and_its_end_can_be_shown(tmp_path: Path):
    log = tmp_path / "small.log"
    log.write_bytes(b"x" * LONGEST_LOG + b"\nthe last \xff line\n")
    assert tail(log).endswith("    the last \\xff line")

    set_aside(log)

    assert not log.exists()
    assert (tmp_path / "small.log.1").exists()
