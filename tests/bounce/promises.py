"""What the engine keeps, whatever comes in: nothing raises, every result is bounded, and can be written down.

The properties and the fuzzer hold it to that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from telltale.bounce import Kind, Returned, Verdict, explain, read
from telltale.cli.engine import contract
from telltale.cli.engine.sources import Letter
from telltale.mail.report import Action, RecipientReport

MOST_REPORTS = 1_000
MOST_ODDITIES = 101
LONGEST_ODDITY = 1_000  # characters; 80 of the mail, of which each may be escaped
LONGEST_EVIDENCE = 250
LONGEST_ADDRESS = 2_000  # characters; a field that holds no address is kept as it is
LONGEST_HOST = 255  # RFC 1035 section 2.3.4
LONGEST_WORDS = 1_000_000  # characters of one field of a delivery status
LONGEST_TITLE = 200
LONGEST_MEANING = 3_000
LARGEST_RESULT = (
    50_000_000  # octets of JSON: a thousand recipients who share 8,000 characters, each of them escaped
)


def read_and_explained(raw: bytes, *, language: str = "en") -> Returned:
    """What `read` makes of these octets; the promises are kept for it, and for the verdict on each report."""
    returned = read(raw)
    verdicts = [explained(report, language=language) for report in returned.reports]

    assert returned.kind in Kind
    assert len(returned.reports) <= MOST_REPORTS
    assert len(returned.oddities) <= MOST_ODDITIES
    assert all(len(oddity) <= LONGEST_ODDITY for oddity in returned.oddities), returned.oddities
    assert all(len(evidence) <= LONGEST_EVIDENCE for evidence in returned.evidence), returned.evidence
    for report in returned.reports:
        _is_a_report(report)
    _can_be_stored(returned)
    line = contract.line(contract.of_mail(Letter("mail.eml"), returned, verdicts))
    assert len(line) <= LARGEST_RESULT
    assert json.loads(line)["kind"] == returned.kind
    return returned


def explained(report: RecipientReport, *, language: str = "en") -> Verdict:
    """The verdict on this report, for which the promises are kept."""
    verdict = explain(report, language=language)

    assert verdict.permanent == (report.action is Action.FAILED)
    assert verdict.permanent or not verdict.address_dead
    texts = [verdict.title, verdict.meaning, verdict.retry_advice, *verdict.actions, *verdict.admin_actions]
    assert all(text.strip() for text in [verdict.reason, verdict.rule, *texts])
    assert verdict.actions or report.action not in (Action.FAILED, Action.DELAYED)
    assert len(verdict.title) <= LONGEST_TITLE
    assert all(len(text) <= LONGEST_MEANING for text in texts)
    _can_be_stored(verdict)
    json.dumps(contract.of_explanation(report, verdict))
    return verdict


def _is_a_report(report: RecipientReport) -> None:
    assert report.action in Action
    assert len(report.final_recipient) <= LONGEST_ADDRESS
    assert len(report.original_recipient) <= LONGEST_ADDRESS
    assert len(report.remote_mta) <= LONGEST_HOST
    assert len(report.diagnostic_code.text) <= LONGEST_WORDS
    assert report.reply_code is None or 200 <= report.reply_code <= 599


def _can_be_stored(value: object) -> None:
    """Every text can be written as UTF-8, and every time is one in UTC: databases take no others."""
    for one in _leaves(value):
        if isinstance(one, str):
            one.encode("utf-8")
        elif isinstance(one, datetime):
            one.astimezone(UTC)


def _leaves(value: Any) -> Iterator[object]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _leaves(getattr(value, field.name))
    elif isinstance(value, tuple):
        for one in value:
            yield from _leaves(one)
    else:
        yield value
