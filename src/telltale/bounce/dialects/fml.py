"""fml, a mailing list server: it refuses a mail in a sentence, and names the list."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_SIGNS = ("you are not a member of this mailing list <", "duplicated message-id in <")
_LIST = re.compile(rf"<({ADDRESS})>")


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    for line in notice.text.split("\n"):
        if any(sign in line.lower() for sign in _SIGNS) and (named := _LIST.search(line)):
            return reports(notice, [Entry(named[1], [[line]])], speaker)
    return []


DIALECT = Dialect(name="fml", signs=_SIGNS, read=_read)
