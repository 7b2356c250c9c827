"""Ports that we listen on: whether they can be had, and who can change it."""

from __future__ import annotations

import errno
import socket
import time

from telltale.cli.errors import CommandError
from telltale.config.environment import HostPort

_PAUSE = 0.1


def check(where: HostPort, *, variable: str, patience: float = 0.0) -> None:
    """Raises CommandError where nobody can listen there now, nor within `patience` seconds."""
    deadline = time.monotonic() + patience
    while problem := _problem(where):
        if time.monotonic() >= deadline:
            raise CommandError(
                f"Port {where.port} of {where.host} {problem}. Set {variable} to another, or free this one."
            )
        time.sleep(_PAUSE)


def free_block(first: int, length: int) -> int:
    """The first of `length` neighbouring ports of 127.0.0.1, at `first` or above, that are all free."""
    while first + length <= 65_536:
        taken = [port for port in range(first, first + length) if _problem(HostPort("127.0.0.1", port))]
        if not taken:
            return first
        first = taken[-1] + 1
    raise CommandError(f"This machine has no {length} free ports beside each other.")


def _problem(where: HostPort) -> str:
    """Why nobody can listen there; empty where one can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        return "cannot be had: this name has no address"
    except OSError as error:
        return _words(error)
    return ""


def _words(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "is taken by another program"
    if error.errno == errno.EACCES:
        return "is reserved for root"
    if error.errno == errno.EADDRNOTAVAIL:
        return "cannot be had: this machine has no such address"
    return f"cannot be had: {error.strerror}"
