"""AOL: its mailboxes are named without the domain."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

_HEADING = "your mail to the following recipients could not be delivered"
_SCREEN_NAME = re.compile(r"\s+([\w.+-]{1,64})(?:@[\w.-]{1,255})?\s*$")


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    domain = notice.sender_address.rpartition("@")[2]
    lines = below(notice, _HEADING)
    names = [found[1] for line in lines if (found := _SCREEN_NAME.match(line))]
    reason = [
        " ".join(
            " ".join(line.split()) for line in notice.lines if line.strip() and not _SCREEN_NAME.match(line)
        )
    ]
    return reports(notice, [Entry(f"{name}@{domain}", [reason]) for name in names], speaker)


DIALECT = Dialect(
    name="aol", signs=("could not be delivered because they are not accepting mail from",), read=_read
)
