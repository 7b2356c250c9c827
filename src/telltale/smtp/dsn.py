"""What we ask of the hosts behind the next one: delivery status notifications, RFC 3461 and RFC 6533."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

LONGEST_ENVELOPE_ID = 100  # characters behind ENVID=, RFC 3461 section 4.4
LONGEST_ORIGINAL_RECIPIENT = 500  # characters behind ORCPT=, RFC 3461 section 4.2

_NO_XTEXT = re.compile(r"[^!-~]|[+=]")  # RFC 3461 section 4
_NO_QCHAR = re.compile(r"[^!-~]|[+=\\]")  # RFC 6533 section 3


class Notify(StrEnum):
    """When a report is wanted: RFC 3461 section 4.1."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


class Returned(StrEnum):
    """How much of the message a report of failure brings back: RFC 3461 section 4.3."""

    HEADERS = "HDRS"
    WHOLE = "FULL"


@dataclass(frozen=True, slots=True)
class DsnRequest:
    """The wishes that go with one envelope to a server that offers DSN.

    `envelope_id` comes back as Original-Envelope-Id; "" asks for none. An empty `notify` is NEVER.
    `original_recipient` is the address as the sender wrote it; "" means that of the envelope.
    Raises ValueError where the envelope id does not fit.
    """

    envelope_id: str = ""
    notify: tuple[Notify, ...] = (Notify.FAILURE, Notify.DELAY)
    returned: Returned = Returned.HEADERS
    original_recipient: str = ""

    def __post_init__(self) -> None:
        if not self.envelope_id.isascii() or not self.envelope_id.isprintable():
            raise ValueError(f"the envelope id {self.envelope_id!r} is not printable ASCII")
        if len(xtext(self.envelope_id)) > LONGEST_ENVELOPE_ID:
            raise ValueError(f"the envelope id {self.envelope_id!r} is too long")

    def mail_parameters(self) -> list[str]:
        """What stands behind MAIL FROM."""
        parameters = [f"RET={self.returned}"]
        if self.envelope_id:
            parameters.append(f"ENVID={xtext(self.envelope_id)}")
        return parameters

    def rcpt_parameters(self, rcpt_to: str) -> list[str]:
        """What stands behind RCPT TO."""
        parameters = [f"NOTIFY={','.join(self.notify) or 'NEVER'}"]
        recipient = typed_address(self.original_recipient or rcpt_to)
        if len(recipient) <= LONGEST_ORIGINAL_RECIPIENT:
            parameters.append(f"ORCPT={recipient}")
        return parameters


def typed_address(address: str) -> str:
    """The address with its type, as ORCPT wants it.

    A non-ASCII one takes the 7-bit form of RFC 6533, which servers with and without SMTPUTF8 understand.
    """
    if address.isascii():
        return f"rfc822;{xtext(address)}"
    return "utf-8;" + _NO_QCHAR.sub(lambda found: rf"\x{{{ord(found[0]):02X}}}", address)


def xtext(text: str) -> str:
    """ASCII text without blanks, "+" and "=": RFC 3461 section 4."""
    return _NO_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)
