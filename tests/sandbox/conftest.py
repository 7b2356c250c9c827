"""A whole sandbox with short times, a desk for what comes back, and single servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest
import pytest_asyncio

from telltale.sandbox import Sandbox
from telltale.sandbox.hosts import mx_host
from telltale.sandbox.timings import Timings
from tests.sandbox.client import Client, Clock, Desk, client_of, running_desk

QUICK = Timings(later=0.0, slow=0.05, courier_retries=(0.0, 0.0))

Meet = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture
def timings() -> Timings:
    """A test that needs others overrides this fixture."""
    return replace(QUICK)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_desk() as desk:
        yield desk


@pytest_asyncio.fixture
async def sandbox(desk: Desk, clock: Clock, timings: Timings) -> AsyncIterator[Sandbox]:
    async with Sandbox(desk_port=desk.port, timings=timings, clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def meet(sandbox: Sandbox) -> Meet:
    """Opens a connection to a provider's server: `async with meet("google") as client`."""
    return lambda provider: client_of(sandbox.ports[mx_host(provider)])
