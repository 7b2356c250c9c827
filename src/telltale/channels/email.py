"""How a mail leaves: straight to the recipient's mail servers, or through the mailbox's relay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from django.conf import settings
from django.utils import timezone

from telltale.channels.relays import Relays
from telltale.channels.services import with_reference
from telltale.config.environment import Environment
from telltale.conversations.models import Mailbox
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.return_path import sign
from telltale.smtp.dialogue import RFC_5321, Timeouts
from telltale.smtp.dsn import DsnRequest
from telltale.smtp.mta_sts import MtaSts
from telltale.smtp.route import NoRoute, Resolver, make_resolver
from telltale.smtp.session import AttemptResult, Envelope, Outcome, Sessions, TranscriptLine
from telltale.smtp.ways import Route, direct_route, relay_route

SANDBOX_DOMAINS = (".test", ".example")  # RFC 2606: nobody's; the sandbox answers for them


class Addressed(Protocol):
    """What a way out needs to know of a delivery."""

    @property
    def delivery_id(self) -> int: ...
    @property
    def recipient(self) -> str: ...


class WayOut:
    """Finds the way for each delivery and goes it. With `sandbox`, no mail leaves this machine."""

    def __init__(
        self, sessions: Sessions, resolver: Resolver, *, port: int = 25, sandbox: bool = False
    ) -> None:
        self._sessions = sessions
        self._resolver = resolver
        self._sts = None if sandbox else MtaSts(resolver)
        self._port = port
        self._sandbox = sandbox
        self._relays = Relays()

    @classmethod
    def from_environment(cls, environment: Environment, *, timeouts: Timeouts = RFC_5321) -> WayOut:
        return cls(
            Sessions(hello=environment.helo_name, timeouts=timeouts),
            make_resolver(environment.dns),
            port=environment.smtp_port,
            sandbox=environment.sandbox,
        )

    async def close(self) -> None:
        if self._sts:
            await self._sts.close()
        await self._sessions.close()

    async def deliver(
        self,
        delivery: Addressed,
        mailbox: Mailbox,
        content: bytes,
        *,
        before_contact: Callable[[str], Awaitable[None]],
        before_content: Callable[[], Awaitable[None]],
    ) -> AttemptResult:
        """One attempt, whatever comes of it; its bounces come back to a signed return path.

        `before_contact` is awaited with the first host, before anything goes to it, `before_content` before the
        first octet of the message does. What they raise ends the attempt and is passed on.
        """
        envelope = _envelope(delivery, mailbox, content)
        return await self.send(
            envelope, mailbox, before_contact=before_contact, before_content=before_content
        )

    async def send(
        self,
        envelope: Envelope,
        mailbox: Mailbox,
        *,
        before_contact: Callable[[str], Awaitable[None]],
        before_content: Callable[[], Awaitable[None]],
    ) -> AttemptResult:
        """The same with an envelope that is addressed already."""
        started_at = datetime.now(UTC)
        domain = envelope.rcpt_to.rpartition("@")[2].lower()
        if self._sandbox and not domain.endswith(SANDBOX_DOMAINS):
            return _nowhere(_outside_the_sandbox(envelope.rcpt_to, domain), started_at)
        route = await self._route(domain, mailbox)
        if isinstance(route, NoRoute):
            return _nowhere(route.to_report(envelope.rcpt_to), started_at)
        await before_contact(route.ways[0].hop.host)
        return await self._sessions.deliver(envelope, route, before_content=before_content)

    async def _route(self, domain: str, mailbox: Mailbox) -> Route | NoRoute:
        if mailbox.way == Mailbox.Way.RELAY:
            return await relay_route(self._relays.of(mailbox))
        return await direct_route(
            domain,
            resolver=self._resolver,
            sts=self._sts,
            port=self._port,
            ports_from_srv=self._sandbox,
        )


def _envelope(delivery: Addressed, mailbox: Mailbox, content: bytes) -> Envelope:
    mail_from = return_path(delivery.delivery_id, mailbox)
    # What we signed comes back in reports even where a relay has put its own return path in the place of ours: as
    # the envelope id, and from an e-mail service with its events.
    reference = mail_from.partition("@")[0]
    services = [relay.service for relay in mailbox.relays_in_order if relay.service]
    return Envelope(
        mail_from=mail_from,
        rcpt_to=delivery.recipient,
        message=with_reference(content, reference, services) if services else content,
        dsn=DsnRequest(envelope_id=reference),
    )


def return_path(delivery_id: int, mailbox: Mailbox) -> str:
    """The signed address that bounces of this delivery come back to."""
    return sign(delivery_id, domain=mailbox.domain, key=settings.RETURN_PATH_KEYS[0], now=timezone.now())


def _outside_the_sandbox(recipient: str, domain: str) -> RecipientReport:
    return RecipientReport(
        final_recipient=recipient,
        action=Action.FAILED,
        diagnostic_code=Diagnostic(
            "x-local",
            f"The sandbox sends nothing outside this machine, and {domain} is no domain of the sandbox.",
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
