"""QQ, NetEase (163, 126), Sina, Aliyun: the address behind 收件人, the reply behind 原因 or below it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telltale.bounce.dialects.dialect import MOST_LINES, Dialect, reports
from telltale.bounce.dialects.entries import Entry
from telltale.bounce.notice import Notice
from telltale.mail.addresses import addresses_in
from telltale.mail.report import RecipientReport

_RECIPIENT = re.compile(r"收件人|收信人|無法傳送到|无法发送到|无法送达|投递到|发送至|发往")
MOST_REASONS = 6  # lines
_NAMING = ("收件人", "收信人")
_REASON = re.compile(
    r"(?:退信原因|失败原因|失敗原因|错误原因|原因|出错信息|详细信息|返回|技术信息|技術資訊)[^:：\n]{0,20}[:：]\s*(.*)"
)


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    reasons = list(_reasons(notice.lines))
    addresses = dict.fromkeys(_recipients(notice.lines[:MOST_LINES]))
    return reports(notice, [Entry(address, reasons) for address in addresses], speaker)


def _recipients(lines: list[str]) -> Iterator[str]:
    """The address on the line that names the recipient, or on the next one that says anything."""
    is_named = False
    for line in lines:
        named = _RECIPIENT.search(line)
        if named or (is_named and line.strip()):
            found = next(addresses_in(line[named.end() if named else 0 :]), "")
            is_named = named is not None and named[0] in _NAMING and not found
            if found:
                yield found


def _reasons(lines: list[str]) -> Iterator[list[str]]:
    for at, line in enumerate(lines):
        if found := _REASON.search(line):
            yield from _said(found[1], lines[at + 1 : at + 1 + MOST_REASONS])


def _said(behind: str, below: list[str]) -> Iterator[list[str]]:
    """What stands behind the word for reason, else the lines below it: each says it anew, the last as a reply."""
    if behind.strip():
        yield [behind]
        return
    is_begun = False
    for line in below:
        if line.strip():
            yield [line]
        elif is_begun:
            return
        is_begun = is_begun or bool(line.strip())


DIALECT = Dialect(name="chinese", signs=("收件人", "收信人", "退信", "無法傳送到", "无法发送到"), read=_read)
