"""Sessions that end with their test, and certificates made for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from telltale.smtp.dsn import DsnRequest
from telltale.smtp.route import Hop, Relay
from telltale.smtp.session import AttemptResult, Envelope, Sessions, Timeouts
from telltale.smtp.tls import OPPORTUNISTIC, TlsPolicy
from telltale.smtp.ways import Route, Way
from tests.smtp.certificates import Workshop

MESSAGE = b"Subject: Your lamp\r\n\r\nIt is on its way.\r\n"
MAIL_FROM = "b-7f3a@desk.example.com"
RCPT_TO = "anna@example.org"
BRIEF = Timeouts(
    connect=2, greeting=2, hello=2, tls=2, auth=2, mail=2, rcpt=2, data=2, block=2, content=2, reset=2, quit=1
)

Send = Callable[..., Awaitable[AttemptResult]]
OpenSessions = Callable[..., Sessions]


def route_to(*hops: Hop, policy: TlsPolicy = OPPORTUNISTIC, relay: Relay | None = None) -> Route:
    """The ways to these hops; through a relay, its own policy counts."""
    policy = TlsPolicy.of_relay(relay) if relay else policy
    return Route(tuple(Way(hop, policy, relay) for hop in hops))


async def nothing_to_note() -> None:
    """A `before_content` for tests that are about something else."""


@pytest_asyncio.fixture
async def open_sessions() -> AsyncIterator[OpenSessions]:
    """Makes `Sessions`, and closes them in the end."""
    opened: list[Sessions] = []

    def make(**options: Any) -> Sessions:
        settings: dict[str, Any] = {"hello": "desk.example.com", "timeouts": BRIEF}
        opened.append(Sessions(**settings | options))
        return opened[-1]

    yield make
    for sessions in opened:
        await sessions.close()


@pytest.fixture
def send(open_sessions: OpenSessions) -> Send:
    """One attempt with sessions of its own, which are closed when it has ended."""

    async def once(
        *hops: Hop,
        mail_from: str = MAIL_FROM,
        rcpt_to: str = RCPT_TO,
        message: bytes = MESSAGE,
        relay: Relay | None = None,
        policy: TlsPolicy = OPPORTUNISTIC,
        route: Route | None = None,
        dsn: DsnRequest | None = None,
        before_content: Callable[[], Awaitable[None]] = nothing_to_note,
        **options: Any,
    ) -> AttemptResult:
        sessions = open_sessions(**options)
        envelope = Envelope(mail_from, rcpt_to, message, dsn)
        route = route or route_to(*hops, policy=policy, relay=relay)
        try:
            return await sessions.deliver(envelope, route, before_content=before_content)
        finally:
            await sessions.close()

    return once


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("certificates"))
