"""`python -m telltale.sandbox`: the sandbox as a process of its own, until SIGTERM or Ctrl-C.

When it is ready, it prints one line of JSON with its ports.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from telltale.sandbox.events import Heard
from telltale.sandbox.hosts import HOSTS
from telltale.sandbox.service import Sandbox

HIGHEST_PORT = 65535


def main() -> int:
    options = _arguments().parse_args()
    try:
        asyncio.run(_run(options))
    except OSError as error:
        sys.stderr.write(f"The sandbox cannot start: {error}\n")
        return 1
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m telltale.sandbox", description=__doc__)
    add = parser.add_argument
    add("--dns-port", type=_port(least=0), default=0, metavar="N", help="UDP and TCP; 0 takes a free one")
    add(
        "--smtp-port-base",
        type=_port(least=0, more=len(HOSTS) - 1),
        default=0,
        metavar="N",
        help="the first mail host's port, the next hosts have the next ones; 0 takes free ones",
    )
    add(
        "--desk-port",
        type=_port(least=1),
        required=True,
        metavar="N",
        help="where the desk takes mail for its domain",
    )
    add("--log", type=Path, metavar="FILE", help="append each event as a line of JSON")
    return parser


def _port(*, least: int, more: int = 0) -> Callable[[str], int]:
    """Reads a port number behind which `more` ports have room."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= HIGHEST_PORT - more:
            return int(text)
        raise argparse.ArgumentTypeError(f"a number from {least} to {HIGHEST_PORT - more}, not {text}")

    return read


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sandbox = Sandbox(
        desk_port=options.desk_port, dns_port=options.dns_port, smtp_port_base=options.smtp_port_base
    )
    with ExitStack() as files:
        if options.log:
            log = files.enter_context(options.log.open("a", encoding="utf-8", buffering=1))
            sandbox.observe(lambda heard: _write(log, heard))
        async with sandbox:
            ready = {"dns_port": sandbox.dns_address[1], "smtp_ports": sandbox.ports}
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            await stop.wait()


def _write(log: TextIO, heard: Heard) -> None:
    fields = asdict(heard)
    log.write(json.dumps({"time_ns": fields.pop("at"), **fields}) + "\n")


if __name__ == "__main__":
    sys.exit(main())
