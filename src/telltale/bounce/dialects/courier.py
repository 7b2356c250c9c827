"""Courier: each address, the host that was asked, and the session as it went; or, behind "<<<", why there was none."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, above, below, reports
from telltale.bounce.dialects.entries import entries
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

_HEADINGS = (
    "the following recipients cannot be delivered",
    "the following addresses only",
    "following recipients",
)
_END = "if your message was also sent to additional recipients"


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    return reports(notice, entries(above(below(notice, *_HEADINGS), _END)), speaker)


DIALECT = Dialect(
    name="courier",
    signs=(
        "your message to the following recipients cannot be delivered",
        "the courier mail server",
        "this is a delivery status notification from",
    ),
    read=_read,
)
