"""What an attempt comes to, and what stands in its way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus


class Outcome(StrEnum):
    """What one attempt came to."""

    ACCEPTED = "accepted"  # the next hop took it
    FAILED = "failed"  # refused for good
    DELAYED = "delayed"  # not delivered, and another attempt may succeed
    UNCERTAIN = "uncertain"  # handed over whole, and no answer: it may or may not have arrived


class Next(StrEnum):
    """Who else may take the message within the same attempt: RFC 5321 section 5.1."""

    NOBODY = "nobody"  # the answer is about the message or its recipient
    HOST = "host"  # the answer is about this host, or the way to it
    RELAY = "relay"  # it is about our account there: the relay's other addresses would say the same


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a message got no further: a server's reply, or, where `reply` is None, `text` of our own."""

    stage: Stage
    outcome: Outcome
    text: str = ""
    reply: SmtpReply | None = None
    status: EnhancedStatus | None = None  # ours, for `text`; a reply brings its own
    next: Next = Next.NOBODY

    @property
    def is_final(self) -> bool:
        return self.outcome is Outcome.FAILED

    def to_report(self, *, recipient: str, remote_mta: str) -> RecipientReport:
        action = Action.FAILED if self.is_final else Action.DELAYED
        if self.reply:
            said = RecipientReport.from_reply(
                self.reply, recipient=recipient, remote_mta=remote_mta, stage=self.stage
            )
            return replace(said, action=action)
        return RecipientReport(
            final_recipient=recipient,
            action=action,
            status=self.status,
            diagnostic_code=Diagnostic("x-local", self.text),
            remote_mta=remote_mta,
            stage=self.stage,
        )


class Stopped(Exception):  # noqa: N818 - no error: the driver's way from the wire up to the result
    """The attempt cannot go on at this host. Never leaves `telltale.smtp`."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.text or str(obstacle.reply))
        self.obstacle = obstacle


class TlsFailed(Stopped):
    """No TLS came about as it was tried; another handshake on a new connection may do better.

    `untrusted` is why the certificate is not trusted, "" where that is not why. `anchor` is the certificate in
    the server's chain that its TLSA record names, in DER: whether it vouches for the host is yet to be seen.
    """

    def __init__(self, obstacle: Obstacle, *, untrusted: str = "", anchor: bytes = b"") -> None:
        super().__init__(obstacle)
        self.untrusted = untrusted
        self.anchor = anchor
