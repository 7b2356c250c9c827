"""Gmail and Google Groups: who answered stands in one sentence, the answer in the next."""

from __future__ import annotations

import re
from dataclasses import replace

from telltale.bounce.dialects.dialect import Dialect, below, reports
from telltale.bounce.dialects.entries import Entry, entries
from telltale.bounce.notice import Notice
from telltale.mail.addresses import ADDRESS
from telltale.mail.report import Diagnostic, RecipientReport

_HEADINGS = ("delivery to the following recipient", "delivery to the following recipients")
# The sentence of the newer notices: "Your message wasn't delivered to ana@lamp.example because …".
_WITHIN = re.compile(
    r"(?:delivered to|delivering your message to|deliver(?:ed)? your message to|tried to contact|email to)"
    rf"\s+<?(?P<address>{ADDRESS})",
    re.IGNORECASE,
)
_GROUP = "the group you tried to contact"
_RESPONSE = re.compile(
    r"the (?:response|error)(?: that)?(?: from| the)?[^:\n]{0,60}(?:was|returned):", re.IGNORECASE
)
_ANSWERED_BY = re.compile(r"recipient domain \S{1,255} by (?P<host>[\w.-]{1,255}?)\.? \[")
_STATE = re.compile(r" ?\(state \d{1,3}\)\.?$")  # of Google's own client


def _read(notice: Notice, speaker: str) -> list[RecipientReport]:
    found = entries(below(notice, *_HEADINGS)) if _HEADINGS[0] in notice.lower else []
    if not found and _GROUP in notice.lower:
        found = [Entry(address, [_about_the_group(notice)]) for address in notice.failed_recipients]
    if not found:
        named = _WITHIN.search(notice.text)
        found = [Entry(named["address"], [_response(notice)])] if named else []
    answered = _ANSWERED_BY.search(" ".join(notice.lines))
    return [
        _polished(report, answered["host"] if answered else "") for report in reports(notice, found, speaker)
    ]


def _about_the_group(notice: Notice) -> list[str]:
    """The sentence about a group; whose address it is, only a header says."""
    return next(([line] for line in notice.lines if _GROUP in line.lower()), [])


def _response(notice: Notice) -> list[str]:
    found = _RESPONSE.search(notice.text)
    return notice.text[found.end() :].split("\n") if found else []


def _polished(report: RecipientReport, host: str) -> RecipientReport:
    said = report.diagnostic_code
    return replace(
        report,
        diagnostic_code=Diagnostic(said.type, _STATE.sub("", said.text)),
        remote_mta=report.remote_mta or host,
    )


DIALECT = Dialect(
    name="gmail",
    signs=(
        "technical details of permanent failure",
        "technical details of temporary failure",
        "google tried to deliver your message",
        "** address not found **",
        "** message blocked **",
        "** message not delivered **",
        "** delivery incomplete **",
        _GROUP,
    ),
    read=_read,
)
