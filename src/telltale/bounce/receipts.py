"""Reads a receipt: what the program or the owner of a mailbox did with our mail. RFC 8098."""

from __future__ import annotations

from telltale.bounce.delivery_status import Fields, groups_of
from telltale.bounce.finding import Finding
from telltale.bounce.notice import LONGEST_TEXT, Notice
from telltale.bounce.returned import Kind
from telltale.mail.addresses import address_of
from telltale.mail.report import Action, RecipientReport

_TYPES = {"message/disposition-notification", "message/global-disposition-notification"}


def read_receipt(notice: Notice) -> Finding | None:
    """The receipt that this mail is, or None."""
    part = notice.first_of(_TYPES)
    if part is None and notice.report_type != "disposition-notification":
        return None
    fields = [field for group in groups_of(part.text(LONGEST_TEXT)) for field in group] if part else []
    evidence = f"a part of the type {part.content_type}" if part else f"report-type={notice.report_type}"
    return Finding(Kind.READ_RECEIPT, (evidence,), _reports(fields))


def _reports(fields: Fields) -> tuple[RecipientReport, ...]:
    """Displayed, deleted, forwarded: the mail was delivered, whatever was done with it then."""
    values = dict(reversed(fields))
    final = address_of(values.get("final-recipient", ""))
    original = address_of(values.get("original-recipient", ""))
    if not final and not original:
        return ()
    others = tuple((name, value) for name, value in fields if not name.endswith("-recipient"))
    report = RecipientReport(
        final or original, Action.DELIVERED, original_recipient=original, other_fields=others
    )
    return (report,)
