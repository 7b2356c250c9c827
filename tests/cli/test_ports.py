"""Ports that are taken, and the words for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from telltale.cli import ports
from telltale.cli.errors import CommandError
from telltale.config.environment import HostPort


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def check(host: str, port: int) -> None:
    ports.check(HostPort(host, port), host_variable="TELLTALE_HOST", port_variable="TELLTALE_PORT")


def test_a_port_that_is_taken_is_named_with_the_variable_that_changes_it(taken: int):
    with pytest.raises(CommandError, match=rf"Port {taken} of 127\.0\.0\.1 is taken .* Set TELLTALE_PORT"):
        check("127.0.0.1", taken)


def test_an_address_of_another_machine_is_named_with_the_variable_that_changes_it():
    with pytest.raises(CommandError, match=r"this machine has no such address\. Set TELLTALE_HOST"):
        check("192.0.2.1", 8000)


def test_a_port_may_become_free_within_the_patience():
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    with pytest.raises(CommandError):
        check("127.0.0.1", port)
    closing = threading.Timer(0.2, server.close)
    closing.start()

    ports.check(HostPort("127.0.0.1", port), host_variable="", port_variable="", patience=20)

    closing.join()


def test_ports_beside_each_other_begin_after_the_one_that_is_taken(taken: int):
    first = ports.free_block(taken - 1, 3)

    assert first > taken
    for port in range(first, first + 3):
        check("127.0.0.1", port)
