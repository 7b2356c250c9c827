"""InterScan VirusWall and Messaging Security Suite (Trend Micro): the session, turned around."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_SENT = re.compile(rf"\s*Sent\s+<<<\s+(?:RCPT TO:)?\s*<?({ADDRESS})", re.IGNORECASE)
_RECEIVED = re.compile(r"\s*Received\s+>>>\s+(.*)", re.IGNORECASE)
_UNABLE = re.compile(rf"Unable to deliver message to <({ADDRESS})>", re.IGNORECASE)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    found: list[Entry] = []
    for line in notice.lines:
        if sent := _SENT.match(line):
            found.append(Entry(sent[1]))
        elif found and (received := _RECEIVED.match(line)):
            found[-1].paragraphs.append([received[1]])
    refused = [entry for entry in found if entry.paragraphs]
    return reports(notice, refused or [Entry(address) for address in _UNABLE.findall(notice.text)], speaker)


DIALECT = Dialect(name="interscan", signs=("message from interscan",), read=_read)
