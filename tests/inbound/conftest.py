"""What several tests of the doors need."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.inbound.door_process import DoorProcess


@pytest.fixture
def process(mailbox) -> Iterator[Callable[[], DoorProcess]]:
    started: list[DoorProcess] = []

    def start() -> DoorProcess:
        started.append(DoorProcess())
        started[-1].wait_until_open()
        return started[-1]

    yield start
    for one in started:
        one.end(signal.SIGKILL)
