"""The one currency for what became of a mail: the fields of a delivery status notification, RFC 3464.

A refusal on the wire, a lost connection, a bounce, a webhook of an e-mail service: each becomes a
`RecipientReport` where it enters the house, and from there one path serves all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from telltale.mail.reply import SmtpReply
from telltale.mail.status import EnhancedStatus

# A field of `other_fields`, in the way of RFC 3464's: the service, and how it classifies what happened.
SERVICE_EVENT = "Service-Event"  # "sparkpost; 10"


class Action(StrEnum):
    """What the reporting system says became of the message: RFC 3464 section 2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


class Stage(StrEnum):
    """Where in an attempt the answer came. A host that refuses us does so early, a filter at the end."""

    DNS = "DNS"
    CONNECT = "CONNECT"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "CONTENT"  # behind the final dot


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Who says it, and every word of it: RFC 3464 section 2.3.6.

    `type` is "smtp" for a reply from an SMTP server and for nothing else.
    What we found out ourselves (DNS, TCP, TLS, a timeout) is "x-local".
    """

    type: str
    text: str

    def __bool__(self) -> bool:
        return bool(self.text)


NO_DIAGNOSTIC = Diagnostic("", "")


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What is said of one recipient: RFC 3464 section 2.3. An absent value is "" for text, None for the rest.

    `status` is what somebody said and never invented: None where a reply carried no enhanced code.
    `stage` and `by_own_relay` are ours: where in the SMTP session the answer came, where that is known, and whether
    it came from a relay that is there to take our mail.
    """

    final_recipient: str
    action: Action
    status: EnhancedStatus | None = None
    diagnostic_code: Diagnostic = NO_DIAGNOSTIC
    remote_mta: str = ""
    original_recipient: str = ""
    last_attempt_date: datetime | None = None
    will_retry_until: datetime | None = None
    final_log_id: str = ""
    stage: Stage | None = None
    other_fields: tuple[tuple[str, str], ...] = ()
    by_own_relay: bool = False

    @classmethod
    def from_reply(
        cls, reply: SmtpReply, *, recipient: str, remote_mta: str, stage: Stage | None = None
    ) -> RecipientReport:
        """A refusal that we heard ourselves, in the words that a bounce would have used."""
        return cls(
            final_recipient=recipient,
            action=Action.FAILED if reply.is_permanent else Action.DELAYED,
            status=reply.enhanced_status,
            diagnostic_code=Diagnostic("smtp", str(reply)),
            remote_mta=remote_mta,
            stage=stage,
        )

    @property
    def reply_code(self) -> int | None:
        """The SMTP reply code that the diagnostic begins with, or None."""
        code = self.diagnostic_code.text[:3]
        if self.diagnostic_code.type != "smtp" or not (code.isascii() and code.isdigit()):
            return None
        return int(code) if 200 <= int(code) <= 599 else None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A whole delivery status notification: the message and each recipient. RFC 3464 section 2.1."""

    recipients: tuple[RecipientReport, ...]
    reporting_mta: str = ""
    original_envelope_id: str = ""
    arrival_date: datetime | None = None
    other_fields: tuple[tuple[str, str], ...] = ()
