"""Sun and Oracle Messaging Server: "Recipient address:", "Reason:", "Diagnostic code:"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telltale.bounce.dialects.dialect import Dialect, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS, typed
from telltale.mail.report import RecipientReport

_FIELD = re.compile(
    r"\s*(Recipient address|Original address|Reason|Diagnostic code|Remote system):\s*(.*)", re.IGNORECASE
)
_ADDRESS = re.compile(ADDRESS)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    return reports(notice, list(_entries(notice.lines)), speaker)


def _entries(lines: list[str]) -> Iterator[Entry]:
    entry: Entry | None = None
    for line in lines:
        found = _FIELD.match(line)
        name, value = (found[1].lower(), found[2]) if found else ("", line)
        if name == "recipient address" and (address := _ADDRESS.search(value)):
            if entry:
                yield entry
            entry = Entry(address[0])
        elif entry and name == "diagnostic code":
            entry.paragraphs.insert(0, [typed(value)[1]])
        elif entry and name == "reason":
            entry.paragraphs.append([value])
        elif entry and name == "original address" and (address := _ADDRESS.search(value)):
            entry.original = address[0]
        elif entry and not name and entry.paragraphs and line.strip():
            entry.paragraphs[-1].append(line)
    if entry:
        yield entry


DIALECT = Dialect(name="messaging-server", signs=("recipient address:",), read=_read)
