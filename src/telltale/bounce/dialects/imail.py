"""IMail (Ipswitch): "Unknown user: ana@lamp.example", and the reply below where there was one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telltale.bounce.dialects.dialect import Dialect, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_ONE = re.compile(
    r"\s*(?:Unknown (?:user|host)|User mailbox exceeds allowed size|Invalid final delivery userid|"
    rf"Delivery failed \d+ attempts?|undeliverable to|undeliverable|Account disabled)\s*:?\s*<?({ADDRESS})>?",
    re.IGNORECASE,
)
_RESPONSE = "generated following response"


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    return reports(notice, list(_entries(notice.lines)), speaker)


def _entries(lines: list[str]) -> Iterator[Entry]:
    entry: Entry | None = None
    for line in lines:
        if named := _ONE.match(line):
            if entry:
                yield entry
            entry = Entry(named[1], [[line]])
        elif entry and _RESPONSE in line.lower():
            entry.paragraphs.append([])
        elif entry and len(entry.paragraphs) > 1 and line.strip():
            entry.paragraphs[-1].append(line)
    if entry:
        yield entry


DIALECT = Dialect(
    name="imail",
    signs=(
        "unknown user: ",
        "unknown host: ",
        "user mailbox exceeds allowed size",
        "invalid final delivery userid",
        " attempts: ",
        "generated following response",
    ),
    read=_read,
)
