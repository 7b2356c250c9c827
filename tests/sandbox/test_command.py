"""`python -m telltale.sandbox` as a process of its own: its ports, its log, its end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from bench.refusal_to_note import Refusals
from telltale.cli.demo import SandboxPorts, _arguments
from telltale.cli.ports import free_block
from telltale.cli.service import Service
from telltale.sandbox.hosts import HOSTS
from tests.sandbox.client import PATIENCE, client_of

GOOGLE = "mx.google.sandbox.test"
COMMAND = [sys.executable, "-m", "telltale.sandbox"]


class Running:
    """The command as a process."""

    def __init__(self, process: asyncio.subprocess.Process, ports: dict[str, int], dns_port: int) -> None:
        self.process = process
        self.ports = ports
        self.dns_port = dns_port

    async def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """The exit code, and what it wrote to standard error."""
        self.process.send_signal(number)
        async with asyncio.timeout(2 * PATIENCE):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Running]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=pipe, stderr=pipe)
    try:
        yield await _ready(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _ready(process: asyncio.subprocess.Process) -> Running:
    assert process.stdout
    async with asyncio.timeout(4 * PATIENCE):
        ready = json.loads(await process.stdout.readline())
    return Running(process, ready["smtp_ports"], ready["dns_port"])


async def failing(*arguments: str) -> tuple[int | None, str]:
    """The exit code and the words of a command that cannot start."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *arguments, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(4 * PATIENCE):
        _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_the_log_tells_each_event_and_the_bench_reads_it(tmp_path: Path) -> None:
    log, recipient = tmp_path / "sandbox.jsonl", "no-such-user+7@google.sandbox.test"
    log.write_text('{"kind": "connected", "recipient": "", "time_ns": 1}\n')  # of an earlier run: it is kept
    async with running("--desk-port=1", f"--log={log}") as sandbox:
        before = time.time_ns()
        async with client_of(sandbox.ports[GOOGLE]) as client:
            refusal = await client.begin(recipient)
            after = time.time_ns()
            await client.say("RCPT TO:<anna@google.sandbox.test>")
            acceptance = await client.hand_over()
        exit_code, errors = await sandbox.end()
    first, connected, refused, accepted = events = [json.loads(line) for line in log.read_text().splitlines()]

    assert (exit_code, errors) == (0, "")
    assert first["time_ns"] == 1
    assert all(event.keys() == accepted.keys() for event in events[1:])
    assert _essence(connected) == ("connected", "", "127.0.0.1")
    assert _essence(refused) == ("refused", recipient, _text(refusal))
    assert _essence(accepted) == ("accepted", "anna@google.sandbox.test", _text(acceptance))
    assert before < refused["time_ns"] < after
    with closing((refusals := Refusals(log))._log):
        assert refusals.of(recipient) == refused["time_ns"]


def _essence(event: dict[str, Any]) -> tuple[str, str, str]:
    assert event["server"] == GOOGLE
    assert event["perf_counter"] > 0
    return event["kind"], event["recipient"], event["detail"]


def _text(reply: bytes) -> str:
    return reply.decode().replace("\r\n", "\n").removesuffix("\n")


async def test_ctrl_c_ends_it_in_silence_while_clients_are_there() -> None:
    async with running("--desk-port=1") as sandbox, client_of(sandbox.ports[GOOGLE]) as client:
        await client.hello()
        assert await sandbox.end(signal.SIGINT) == (0, "")
        assert await client.rest() == b""


async def test_it_runs_as_the_demo_runs_it_on_the_ports_that_the_demo_chose(tmp_path: Path) -> None:
    chosen = SandboxPorts(dns=free_block(22553, 1), smtp=free_block(22600, 32), desk=1)
    service = Service("sandbox", "telltale.sandbox", _arguments(chosen))
    pipe = asyncio.subprocess.PIPE
    process = await service.spawn(stdout=pipe, stderr=pipe)
    try:
        sandbox = await _ready(process)
        query = dns.message.make_query("_smtp._tcp.mx.apple.sandbox.test", "SRV")
        response = await dns.asyncquery.udp(query, "127.0.0.1", port=chosen.dns, timeout=PATIENCE)
        async with client_of(sandbox.ports[GOOGLE]) as client:
            assert (await client.hear()).startswith(b"220 mx.google.sandbox.test")
    finally:
        assert process.stdin
        process.stdin.close()  # the leash: where the demo is gone, the sandbox ends
        async with asyncio.timeout(2 * PATIENCE):
            exit_code = await process.wait()
        await process.communicate()

    assert exit_code == 0
    assert sandbox.dns_port == chosen.dns
    assert list(sandbox.ports.items()) == [(host, chosen.smtp + number) for number, host in enumerate(HOSTS)]
    assert f" {sandbox.ports['mx.apple.sandbox.test']} mx.apple.sandbox.test." in response.answer[0].to_text()


async def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        exit_code, errors = await failing("--desk-port=1", f"--smtp-port-base={port}")

    assert exit_code == 1
    assert errors.startswith("The sandbox cannot start: ")
    assert "address already in use" in errors.lower()
    assert errors.count("\n") == 1


async def test_a_log_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    exit_code, errors = await failing("--desk-port=1", f"--log={tmp_path}")

    assert exit_code == 1
    assert errors.startswith("The sandbox cannot start: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: --desk-port"),
        (["--desk-port=0"], "argument --desk-port: a number from 1 to 65535, not 0"),
        (["--desk-port=1", "--dns-port=65536"], "argument --dns-port: a number from 0 to 65535, not 65536"),
        # There are ten hosts, each with a port of its own.
        (["--desk-port=1", "--smtp-port-base=65527"], "argument --smtp-port-base: a number from 0 to 65526"),
        (["--desk-port=1", "--smtp-port-base=smtp"], "argument --smtp-port-base: a number from 0 to 65526"),
    ],
)
async def test_a_port_that_is_none_is_refused_with_the_name_of_its_option(
    arguments: list[str], words: str
) -> None:
    exit_code, errors = await failing(*arguments)

    assert exit_code == 2
    assert f"python -m telltale.sandbox: error: {words}" in errors
