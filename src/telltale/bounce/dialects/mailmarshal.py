"""MailMarshal: the reason first, "The following recipients were affected:" below it."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, above, below, reports
from telltale.bounce.dialects.entries import entries
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

_AFFECTED = "following recipients were affected"
_BECAUSE = ("could not be delivered because of", "because of", "for the following reason")


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    found = entries(below(notice, _AFFECTED))
    words = [line for line in above(below(notice, *_BECAUSE), _AFFECTED) if line.strip()]
    for entry in found:
        entry.paragraphs = [words]
    return reports(notice, found, speaker)


DIALECT = Dialect(name="mailmarshal", signs=(_AFFECTED,), read=_read)
