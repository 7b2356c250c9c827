"""How a mail leaves: straight to the recipient's mail servers, or through the mailbox's relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from django.conf import settings
from django.utils import timezone

from telltale.config.environment import Environment
from telltale.conversations.models import Mailbox
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.return_path import sign
from telltale.smtp.route import Hop, NoRoute, Relay, Resolver, Security, mail_hops, make_resolver, relay_hops
from telltale.smtp.session import AttemptResult, Envelope, Outcome, Sessions, TranscriptLine

SANDBOX_DOMAINS = (".test", ".example")  # RFC 2606: nobody's; the sandbox answers for them


class Addressed(Protocol):
    """What a way out needs to know of a delivery."""

    @property
    def delivery_id(self) -> int: ...
    @property
    def recipient(self) -> str: ...
    @property
    def domain(self) -> str: ...


class WayOut:
    """Finds the way for each delivery and goes it. With `sandbox`, no mail leaves this machine."""

    def __init__(
        self, sessions: Sessions, resolver: Resolver, *, port: int = 25, sandbox: bool = False
    ) -> None:
        self._sessions = sessions
        self._resolver = resolver
        self._port = port
        self._sandbox = sandbox

    @classmethod
    def from_environment(cls, environment: Environment) -> WayOut:
        return cls(
            Sessions(hello=environment.helo_name),
            make_resolver(environment.dns),
            port=environment.smtp_port,
            sandbox=environment.sandbox,
        )

    async def close(self) -> None:
        await self._sessions.close()

    async def deliver(
        self,
        delivery: Addressed,
        mailbox: Mailbox,
        content: bytes,
        *,
        before_content: Callable[[], Awaitable[None]],
    ) -> AttemptResult:
        """One attempt, whatever comes of it."""
        started_at = datetime.now(UTC)
        if self._sandbox and not delivery.domain.endswith(SANDBOX_DOMAINS):
            return _nowhere(_outside_the_sandbox(delivery), started_at)
        relay = relay_of(mailbox)
        hops = await self._hops(delivery, relay)
        if isinstance(hops, NoRoute):
            return _nowhere(hops.to_report(delivery.recipient), started_at)
        envelope = Envelope(
            mail_from=return_path(delivery.delivery_id, mailbox), rcpt_to=delivery.recipient, message=content
        )
        return await self._sessions.deliver(envelope, hops, before_content=before_content, relay=relay)

    async def _hops(self, delivery: Addressed, relay: Relay | None) -> tuple[Hop, ...] | NoRoute:
        if relay:
            return await relay_hops(relay)
        return await mail_hops(
            delivery.domain, resolver=self._resolver, port=self._port, ports_from_srv=self._sandbox
        )


def relay_of(mailbox: Mailbox) -> Relay | None:
    if mailbox.way != Mailbox.Way.RELAY:
        return None
    return Relay(
        host=mailbox.relay_host,
        port=mailbox.relay_port,
        security=Security(mailbox.relay_security),
        username=mailbox.relay_username,
        password=mailbox.relay_password,
    )


def return_path(delivery_id: int, mailbox: Mailbox) -> str:
    """The signed address that bounces of this delivery come back to."""
    return sign(delivery_id, domain=mailbox.domain, key=settings.RETURN_PATH_KEYS[0], now=timezone.now())


def _outside_the_sandbox(delivery: Addressed) -> RecipientReport:
    return RecipientReport(
        final_recipient=delivery.recipient,
        action=Action.FAILED,
        diagnostic_code=Diagnostic(
            "x-local",
            "The sandbox sends nothing outside this machine, "
            f"and {delivery.domain} is no domain of the sandbox.",
        ),
        stage=Stage.DNS,
    )


def _nowhere(report: RecipientReport, started_at: datetime) -> AttemptResult:
    """There was nobody to talk to."""
    ended_at = datetime.now(UTC)
    return AttemptResult(
        outcome=Outcome.FAILED if report.action == Action.FAILED else Outcome.DELAYED,
        stage=Stage.DNS,
        report=report,
        reply=None,
        remote_host="",
        remote_ip="",
        tls_version="",
        tls_verified=None,
        queue_id="",
        transcript=(TranscriptLine(ended_at, "-", report.diagnostic_code.text),),
        started_at=started_at,
        ended_at=ended_at,
    )
