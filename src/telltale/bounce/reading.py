"""Reads a mail that came back: what kind of mail it is, and what it says of each recipient.

RFC 6522 (multipart/report), RFC 3464 (delivery status), RFC 6533 (the same with UTF-8), RFC 8098 (read receipts),
RFC 5965 (complaints), RFC 3834 (answers by machines), and the words of mail servers that know none of them.

Rule 1: whatever comes in, something comes out. What cannot be read is named in `oddities`, and the rest is read.
Rule 2: words of others are kept as they came; octets that are no UTF-8 stand as escapes.
Rule 3: enclosed mails are not searched: a person may forward a bounce, and that is no bounce.
"""

from __future__ import annotations

from telltale.bounce.answers import sign_of_an_answer
from telltale.bounce.complaints import complaint
from telltale.bounce.delivery_status import Fields
from telltale.bounce.finding import Finding
from telltale.bounce.keys import keys_of
from telltale.bounce.notice import Notice
from telltale.bounce.notification import notification
from telltale.bounce.receipts import read_receipt
from telltale.bounce.reports import delivery_report, notice_in_words, status_groups
from telltale.bounce.returned import Kind, Returned
from telltale.mail.mime import parse, walk

MOST_REPORTS = 1_000
MOST_ODDITIES = 100


def read(raw: bytes) -> Returned:
    """What this mail is and says. Never raises: a mail that says nothing of all this is an ordinary one."""
    mail = parse(raw)
    notice = Notice(mail, walk(mail))
    groups = status_groups(notice)
    found = _find(notice, groups)
    return Returned(
        kind=found.kind,
        reports=found.reports[:MOST_REPORTS],
        keys=keys_of(notice, groups),
        oddities=_oddities(notice, found),
        evidence=found.evidence,
    )


def _find(notice: Notice, groups: list[Fields]) -> Finding:
    """The surest first: a part that says what it is, then the words, then the marks of a machine."""
    return (
        complaint(notice)
        or read_receipt(notice)
        or delivery_report(notice, groups)
        or notification(notice)
        or notice_in_words(notice)
        or _answer(notice)
        or Finding(Kind.ORDINARY)
    )


def _answer(notice: Notice) -> Finding | None:
    sign = sign_of_an_answer(notice)
    return Finding(Kind.AUTOREPLY, (sign,)) if sign else None


def _oddities(notice: Notice, found: Finding) -> tuple[str, ...]:
    """Those of the structure, then those of what was read; as many as a person will read."""
    oddities = [oddity for part in notice.parts for oddity in part.oddities]
    if len(found.reports) > MOST_REPORTS:
        oddities.append(f"tells of {len(found.reports)} recipients; the first {MOST_REPORTS} were read")
    oddities += found.oddities
    more = len(oddities) - MOST_ODDITIES
    return (*oddities[:MOST_ODDITIES], *([f"and {more} more"] if more > 0 else []))
