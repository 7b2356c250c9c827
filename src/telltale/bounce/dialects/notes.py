"""The SMTP gateway of Lotus Notes: the reason, and below it the address."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import addresses_in
from telltale.mail.report import RecipientReport

_HEADING = "failure reasons"


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    found: list[Entry] = []
    reason: list[str] = []
    for line in below(notice, _HEADING):
        if address := next(addresses_in(line), ""):
            found.append(Entry(address, [reason]))
            reason = []
        elif line.strip():
            reason.append(line)
    return reports(notice, found, speaker)


DIALECT = Dialect(name="notes", signs=("------- failure reasons", "--- failure reasons"), read=_read)
