"""Reads a notice of non-delivery, delay or success: its report part, its words, or both.

Rule 1: the report part counts. Where it is poorer than the words beside it, the words fill its gaps.
Rule 2: a person who forwards or quotes a notice writes none.
"""

from __future__ import annotations

import re
from dataclasses import replace

from telltale.bounce.delivery_status import LONGEST_STATUS, Fields, groups_of, reports_of
from telltale.bounce.dialects import dialect_of, reports_in_words, words_about
from telltale.bounce.finding import Finding, kind_of
from telltale.bounce.notice import Notice
from telltale.bounce.returned import Kind
from telltale.bounce.sorting import (
    action_of,
    is_by_a_server,
    is_of_a_person,
    may_be_a_notice,
    signs_of_a_notice,
)
from telltale.mail.addresses import folded, is_address, same
from telltale.mail.mime import walk
from telltale.mail.report import Action, RecipientReport

MOST_STATUS_PARTS = 3  # RFC 6522 has one
_STATUS_TYPES = {"message/delivery-status", "message/global-delivery-status"}
_STATUS_IN_TEXT = re.compile(
    r"^[ \t]*(?:Reporting-MTA|Final-Recipient|Original-Recipient):", re.IGNORECASE | re.MULTILINE
)
_NO_WORDS = re.compile(r"[\d.\s<>()#-]*")  # "550 5.0.0", or nothing


def status_groups(notice: Notice) -> list[Fields]:
    """The groups of fields of the report part, wherever it stands; none where there is no such part."""
    texts = []
    if notice.first_of(_STATUS_TYPES):
        parts = [part for part in notice.parts if part.content_type in _STATUS_TYPES]
        texts = [part.text(LONGEST_STATUS) for part in parts[:MOST_STATUS_PARTS]]
    elif is_by_a_server(notice) and "-recipient:" in notice.lower:
        found = _STATUS_IN_TEXT.search(notice.text)
        texts = [notice.text[found.start() :]] if found else []  # a report whose structure is lost
    return [group for text in texts for group in groups_of(text)]


def delivery_report(notice: Notice, groups: list[Fields]) -> Finding | None:
    """What this mail reports by a part of its own, or None."""
    has_part = notice.first_of(_STATUS_TYPES) is not None
    if not (has_part or groups or notice.report_type == "delivery-status") or is_of_a_person(notice):
        return None
    if notice.mail.content_type != "multipart/report" and not _is_a_report(notice):
        return None
    oddities: list[str] = []
    reports = _mended(reports_of(groups, oddities, fallback=lambda: _fallback(notice)), notice)
    if not reports and (within := _report_within(notice)):
        return within
    if not reports:
        oddities.append("a delivery status that tells of no recipient")
    evidence = _evidence(notice, has_part=has_part)
    actions = sorted({f"Action: {report.action}" for report in reports})
    return Finding(kind_of(tuple(reports)), (evidence, *actions), tuple(reports), tuple(oddities))


def notice_in_words(notice: Notice) -> Finding | None:
    """What this mail reports in plain words, or None where no mail server wrote them."""
    if not may_be_a_notice(notice):
        return None
    dialect = dialect_of(notice)
    opens_so = dialect is not None and any(sign in notice.opening for sign in dialect.signs)
    signs = signs_of_a_notice(notice, dialect=dialect.name if dialect and opens_so else "")
    if not signs:
        return None
    if reports := tuple(_with_named_recipients(reports_in_words(notice, dialect), notice)):
        return Finding(kind_of(reports), signs, reports)
    if within := _report_within(notice):
        return within
    kind = Kind.DELAYED if action_of(notice) is Action.DELAYED else Kind.BOUNCE
    return Finding(kind, signs, oddities=("a notice that names no recipient",))


def _report_within(notice: Notice) -> Finding | None:
    """The report that a gateway has wrapped into a notice of its own."""
    if notice.returned is None or notice.returned.content_type != "multipart/report":
        return None
    inner = Notice(notice.returned, walk(notice.returned))
    if inner.returned is not None and inner.returned.content_type == "multipart/report":
        return None  # one wrapper is what gateways make; more is a game
    return delivery_report(inner, status_groups(inner))


def _is_a_report(notice: Notice) -> bool:
    """A part of this type in a mail of another type: a server of old, or somebody who passes it on."""
    return is_by_a_server(notice) or bool(signs_of_a_notice(notice))


def _fallback(notice: Notice) -> Action | None:
    return action_of(notice) if notice.text.strip() else None


def _evidence(notice: Notice, *, has_part: bool) -> str:
    if notice.report_type == "delivery-status":
        return "multipart/report; report-type=delivery-status"
    return "a part of the type message/delivery-status" if has_part else "the fields of a delivery status"


def _mended(reports: list[RecipientReport], notice: Notice) -> list[RecipientReport]:
    """The reports, with what only the words beside them tell."""
    if reports and not any(_is_poor(report) for report in reports):
        return reports
    if reports and all(is_address(report.final_recipient) for report in reports):
        in_words = words_about(notice)
    else:
        in_words = _with_named_recipients(reports_in_words(notice, dialect_of(notice)), notice)
    if not reports:
        return in_words
    if len(reports) == len(in_words) == 1:
        return [_mend(reports[0], in_words[0])]
    by_address = {folded(other.final_recipient): other for other in reversed(in_words)}
    return [
        _mend(report, _about_the_same(report, by_address)) if _is_poor(report) else report
        for report in reports
    ]


def _is_poor(report: RecipientReport) -> bool:
    return _NO_WORDS.fullmatch(report.diagnostic_code.text) is not None or not is_address(
        report.final_recipient
    )


def _mend(report: RecipientReport, other: RecipientReport | None) -> RecipientReport:
    if other is None:
        return report
    if not is_address(report.final_recipient):
        report = replace(report, final_recipient=other.final_recipient)
    if not _NO_WORDS.fullmatch(report.diagnostic_code.text) or not other.diagnostic_code:
        return report
    return replace(
        report,
        diagnostic_code=other.diagnostic_code,
        status=report.status or other.status,
        remote_mta=report.remote_mta or other.remote_mta,
        stage=report.stage or other.stage,
    )


def _about_the_same(
    report: RecipientReport, by_address: dict[str, RecipientReport]
) -> RecipientReport | None:
    names = [name for name in (report.final_recipient, report.original_recipient) if name]
    return next((by_address[key] for key in map(folded, names) if key in by_address), None)


def _with_named_recipients(reports: list[RecipientReport], notice: Notice) -> list[RecipientReport]:
    """Exim names the recipients in a header as well: as they were given, where the text has what became of them."""
    named = notice.failed_recipients
    if len(named) == len(reports) == 1 and not same(named[0], reports[0].final_recipient):
        if not is_address(reports[0].final_recipient):
            return [replace(reports[0], final_recipient=named[0])]
        return [replace(reports[0], original_recipient=named[0])]
    return reports
