"""Delivering one message to one recipient: SMTP, RFC 5321, the client side.

Rule 1: what a server says is kept verbatim; what we found out ourselves is "x-local" and never looks like it.
Rule 2: the world's failures are an `AttemptResult`. Only our own mistakes are raised.
Rule 3: after the final dot has left us, a lost connection is "uncertain"; before it, nothing was delivered.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from telltale.mail.reply import SmtpReply
from telltale.mail.report import RecipientReport, Stage
from telltale.smtp.route import Hop, Relay


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message for one recipient. `mail_from` is the return path, "" for none.

    Raises ValueError for an address that could break out of its command line.
    """

    mail_from: str
    rcpt_to: str
    message: bytes


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """A line of the conversation: ours ("C"), the server's ("S"), or what we found out ("-")."""

    at: datetime
    who: str
    text: str


class Outcome(StrEnum):
    """What one attempt came to."""

    ACCEPTED = "accepted"  # the next hop took it
    FAILED = "failed"  # refused for good
    DELAYED = "delayed"  # not delivered, and another attempt may succeed
    UNCERTAIN = "uncertain"  # handed over whole, and no answer: it may or may not have arrived


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What one attempt came to, with the evidence."""

    outcome: Outcome
    stage: Stage  # where the deciding answer came
    report: RecipientReport | None  # None only where the message was accepted
    reply: SmtpReply | None  # the deciding reply, where a server spoke
    remote_host: str
    remote_ip: str
    tls_version: str  # "TLS 1.3"; "" for none
    tls_verified: bool | None  # None without TLS
    queue_id: str  # the server's name for the mail, out of its 250; "" where it tells none
    transcript: tuple[TranscriptLine, ...]
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait at each step, in seconds: RFC 5321 section 4.5.3.2."""

    connect: float = 30
    greeting: float = 300
    hello: float = 300
    tls: float = 60
    auth: float = 120
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180  # for the kernel to take the next part of the content
    content: float = 600  # for the answer to the final dot
    reset: float = 20  # ours: on a connection that is used again; a slow one is replaced
    quit: float = 5  # ours: nobody waits for a goodbye


class Sessions:
    """Delivers messages, and keeps connections open for the next one.

    Use it within one event loop. Any number of `deliver` calls may run at once: each has a connection of its own.
    """

    def __init__(
        self,
        *,
        hello: str,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        idle_seconds: float = 10,
        messages_per_connection: int = 100,
        tls_context: ssl.SSLContext | None = None,
    ) -> None:
        """`hello` is our name in EHLO. `tls_context` verifies certificates; by default with the system's roots."""

    async def deliver(
        self,
        envelope: Envelope,
        hops: Sequence[Hop],
        *,
        before_content: Callable[[], Awaitable[None]],
        relay: Relay | None = None,
    ) -> AttemptResult:
        """One attempt. `relay` is the smart host to which the hops lead; None: they are the domain's own hosts.

        `before_content` is awaited once at most, after the server's 354 and before the first octet of the
        content: from there on the message may arrive. What it raises ends the attempt and is passed on.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Say QUIT on every idle connection; those in use end with their message."""
