"""Ports that we listen on: whether they can be had, and who can change it."""

from __future__ import annotations

import errno
import socket
import time
from typing import NamedTuple

from telltale.cli.errors import CommandError
from telltale.config.environment import HostPort

_PAUSE = 0.1


class _Problem(NamedTuple):
    """Why nobody can listen there, and what to do."""

    text: str
    advice: str  # {host} and {port} stand for the variables that choose them


_TAKEN = _Problem("is taken by another program", "Set {port} to another, or stop that program.")
_RESERVED = _Problem("is reserved for root", "Set {port} to one from 1024 on, or start the desk as root.")
_NO_NAME = _Problem("cannot be had: this name has no address", "Set {host} to an address of this machine.")
_NOT_OURS = _Problem(
    "cannot be had: this machine has no such address", "Set {host} to an address of this machine."
)
_BY_NUMBER = {errno.EADDRINUSE: _TAKEN, errno.EACCES: _RESERVED, errno.EADDRNOTAVAIL: _NOT_OURS}


def check(where: HostPort, *, host_variable: str, port_variable: str, patience: float = 0.0) -> None:
    """Raises CommandError where nobody can listen there now, nor within `patience` seconds."""
    deadline = time.monotonic() + patience
    while problem := _problem(where):
        if time.monotonic() >= deadline:
            advice = problem.advice.format(host=host_variable, port=port_variable)
            raise CommandError(f"Port {where.port} of {where.host} {problem.text}. {advice}")
        time.sleep(_PAUSE)


def free_block(first: int, length: int) -> int:
    """The first of `length` neighbouring ports of 127.0.0.1, at `first` or above, that are all free."""
    while first + length <= 65_536:
        taken = [port for port in range(first, first + length) if _problem(HostPort("127.0.0.1", port))]
        if not taken:
            return first
        first = taken[-1] + 1
    raise CommandError(f"This machine has no {length} free ports beside each other.")


def _problem(where: HostPort) -> _Problem | None:
    """Why nobody can listen there; None where one can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        return _NO_NAME
    except OSError as error:
        other = _Problem(f"cannot be had: {error.strerror}", "Set {host} or {port} to another.")
        return _BY_NUMBER.get(error.errno or 0, other)
    return None
