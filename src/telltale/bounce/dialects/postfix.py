"""Postfix where its report part is missing: "<ana@lamp.example>: host mx… said: 550 …". Manual page bounce(8)."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import entries
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

_HEADING = "delete your own text from the"


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    """Its words always begin on the line of the address; others name whom to ask, on a line of its own."""
    found = entries(below(notice, _HEADING))
    return reports(notice, [entry for entry in found if entry.is_inline], speaker)


DIALECT = Dialect(
    name="postfix",
    signs=(
        "this is the postfix program at host",
        "this is the mail system at host",
        "i'm sorry to have to inform you that",
        "this is the postfix program at",
    ),
    read=_read,
)
