"""au (EZweb) and its kin: why, in a sentence, and below it to whom; or the session that was refused."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, reports
from telltale.bounce.dialects.entries import Entry, entries
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import RecipientReport

_RECIPIENT = re.compile(rf"\s*Recipient: <({ADDRESS})>")
_SIGNS = (
    "the user(s) account is",
    "following recipients was rejected by a remote",
    "the following recipients did not receive this message",
    "次のあて先へのメッセージはエラーのため",
)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    lines = [f"<{named[1]}>" if (named := _RECIPIENT.match(line)) else line for line in notice.lines]
    found = entries(lines)
    why = [line for line in lines if any(sign in line.lower() for sign in _SIGNS[:1])]
    for entry in found:
        entry.paragraphs = entry.paragraphs or [why or _reason(lines)]
    return reports(notice, _once(found), speaker)


def _reason(lines: list[str]) -> list[str]:
    return [
        line for line in lines if "rejected by a remote" in line.lower() or line.strip() == "mail server."
    ]


def _once(found: list[Entry]) -> list[Entry]:
    return list({entry.address.lower(): entry for entry in found}.values())


DIALECT = Dialect(name="ezweb", signs=_SIGNS, read=_read)
