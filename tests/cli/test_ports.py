"""Ports that are taken, and the words for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from telltale.cli import ports
from telltale.cli.errors import CommandError
from telltale.config.environment import HostPort


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken_is_named_with_the_variable_that_changes_it(taken: int):
    with pytest.raises(CommandError, match=rf"Port {taken} of 127\.0\.0\.1 is taken .* Set TELLTALE_PORT"):
        ports.check(HostPort("127.0.0.1", taken), variable="TELLTALE_PORT")


def test_an_address_of_another_machine_cannot_be_had():
    with pytest.raises(CommandError, match="this machine has no such address"):
        ports.check(HostPort("192.0.2.1", 8000), variable="TELLTALE_HOST")


def test_ports_beside_each_other_begin_after_the_one_that_is_taken(taken: int):
    first = ports.free_block(taken - 1, 3)

    assert first > taken
    for port in range(first, first + 3):
        ports.check(HostPort("127.0.0.1", port), variable="")
