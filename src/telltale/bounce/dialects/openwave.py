"""Openwave, Netscape and InterMail: the reason first, and below it who did not receive the message."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, above, below, reports
from telltale.bounce.dialects.entries import entries
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

_REASON = ("undeliverable due to the following reason", "following reason")
_RECIPIENTS = ("the following recipients did not receive", "following recipients")


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    found = entries(below(notice, *_RECIPIENTS))
    if not any(heading in notice.lower for heading in _RECIPIENTS):
        found = entries(below(notice, *_REASON))
    words = above(below(notice, *_REASON), _RECIPIENTS[0], "please reply to")
    for entry in found:
        entry.paragraphs = [*_paragraphs(words), *entry.paragraphs]
    return reports(notice, found, speaker)


def _paragraphs(lines: list[str]) -> list[list[str]]:
    text = "\n".join(line.strip() for line in lines).strip()
    return [paragraph.split("\n") for paragraph in text.split("\n\n")[:8] if paragraph]


DIALECT = Dialect(
    name="openwave",
    signs=(
        "this message was undeliverable due to the following reason",
        "undeliverable due to the following reason",
    ),
    read=_read,
)
