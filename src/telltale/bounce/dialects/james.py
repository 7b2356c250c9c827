"""Apache James and mail-to-phone gateways built on it: the reply first, the envelope below it."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_RCPT = re.compile(rf"^[ \t]*RCPT TO: {{0,20}}<?({ADDRESS})", re.MULTILINE)
_ERROR = ("error message below:", "error message was", "error:")


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    words: list[str] = []
    for line in below(notice, *_ERROR):
        if not line.strip() and words:
            break
        words.append(line)
    return reports(notice, [Entry(address, [words]) for address in _RCPT.findall(notice.text)], speaker)


DIALECT = Dialect(name="james", signs=("message details:\n",), read=_read)
