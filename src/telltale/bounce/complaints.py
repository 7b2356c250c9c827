"""Reads a complaint: somebody called our mail spam. RFC 5965 (ARF), and Hotmail's letters of old."""

from __future__ import annotations

from telltale.bounce.delivery_status import Fields, groups_of
from telltale.bounce.finding import Finding
from telltale.bounce.notice import LONGEST_TEXT, Notice
from telltale.bounce.returned import Kind
from telltale.mail.addresses import address_of, addresses_in
from telltale.mail.report import Action, RecipientReport

_TYPE = "message/feedback-report"
_NO_SPAM = "not-spam"  # RFC 6430: whoever got it says that a filter was wrong
# Microsoft's and others' notes about the mailbox whose owner complained.
_RECIPIENT_FIELDS = ("x-hmxmroriginalrecipient", "x-rcpt-to", "x-original-rcpt-to")
_HOTMAIL = "complaint about message from "


def complaint(notice: Notice) -> Finding | None:
    """The complaint that this mail is, or None."""
    part = notice.first_of((_TYPE,))
    if part is None and notice.report_type != "feedback-report":
        return _complaint_of_hotmail(notice)
    groups = groups_of(part.text(LONGEST_TEXT)) if part else []
    fields = [field for group in groups for field in group]
    kind = next((value for name, value in fields if name == "feedback-type"), "")
    if kind.strip().lower() == _NO_SPAM:
        return Finding(Kind.ORDINARY, (f"feedback-type: {kind}",))
    evidence = f"a part of the type {_TYPE}" if part else f"report-type={notice.report_type}"
    return Finding(
        Kind.COMPLAINT, (evidence, f"feedback-type: {kind}"), _reports(_recipients(fields, notice), fields)
    )


def _complaint_of_hotmail(notice: Notice) -> Finding | None:
    if not notice.subject.lower().startswith(_HOTMAIL) or not notice.returned:
        return None
    return Finding(Kind.COMPLAINT, (f"subject: {_HOTMAIL}…",), _reports(_recipients([], notice), []))


def _recipients(fields: Fields, notice: Notice) -> list[str]:
    """Whose mailbox it was; many senders of complaints leave it out, and it can stand in the returned mail."""
    named = [address_of(value) for name, value in fields if name in ("original-rcpt-to", "final-recipient")]
    if any("@" in address for address in named):
        return [address for address in named if "@" in address]
    if notice.returned is None:
        return []
    noted = [
        address
        for name in _RECIPIENT_FIELDS
        for address in addresses_in(notice.returned.header(name)[:1_000])
    ]
    return noted[:1] or (list(notice.returned_to) if len(notice.returned_to) == 1 else [])


def _reports(recipients: list[str], fields: Fields) -> tuple[RecipientReport, ...]:
    """A mail that somebody complains about has been delivered."""
    return tuple(
        RecipientReport(recipient, Action.DELIVERED, other_fields=tuple(fields))
        for recipient in dict.fromkeys(recipients)
    )
