"""MDaemon: a session transcript with arrows."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_RCPT = re.compile(rf"--> RCPT To:\s*<({ADDRESS})>", re.IGNORECASE)
_REFUSED = re.compile(r"<-- ([45]\d\d[- ].*)")
_NAMED = re.compile(rf"Failed address:\s*<?({ADDRESS})", re.IGNORECASE)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    found: list[Entry] = []
    for line in notice.lines:
        if sent := _RCPT.search(line):
            found.append(Entry(sent[1]))
        elif found and (refused := _REFUSED.search(line)):
            found[-1].paragraphs.append([refused[1]])
    refused_ones = [entry for entry in found if entry.paragraphs]
    return reports(
        notice, refused_ones or [Entry(address) for address in _NAMED.findall(notice.text)], speaker
    )


DIALECT = Dialect(
    name="mdaemon", signs=("--> rcpt to:", "mdaemon has identified", "failed address:"), read=_read
)
