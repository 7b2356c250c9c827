"""The JSON of the commands. It is a contract: docs/commands.md states it, field by field.

Rule 1: a field that is there stays there, with its type. New ones may join.
Rule 2: ASCII only. What is not ASCII is escaped, so that no terminal obeys a stranger's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from telltale.bounce import knowledge

if TYPE_CHECKING:  # who explains one reply needs no reader of mail
    from telltale.bounce import Keys, Returned, Verdict
    from telltale.cli.engine.sources import Letter
    from telltale.mail.report import RecipientReport


def line(value: dict[str, Any]) -> str:
    return f"{json.dumps(value)}\n"


def of_mail(letter: Letter, returned: Returned, verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """One mail, and a verdict on each of its reports: a line of `telltale bounce read --json`."""
    pairs = zip(returned.reports, verdicts, strict=True)
    return {
        "path": letter.path,
        "kind": returned.kind,
        "reports": [of_report(report, verdict) for report, verdict in pairs],
        "keys": of_keys(returned.keys),
        "oddities": [*letter.oddities, *returned.oddities],
        "evidence": returned.evidence,
    }


def of_error(letter: Letter) -> dict[str, Any]:
    """A mail that could not be read, and why."""
    return {"path": letter.path, "kind": None, "reports": [], "error": letter.error}


def of_report(report: RecipientReport, verdict: Verdict) -> dict[str, Any]:
    """What is said of one recipient, and what it means. The texts for people are left to `telltale explain`."""
    return {
        "final_recipient": report.final_recipient,
        "action": report.action,
        "status": str(report.status) if report.status else None,
        "reply_code": report.reply_code,
        "diagnostic": report.diagnostic_code.text,
        "diagnostic_type": report.diagnostic_code.type,
        "remote_mta": report.remote_mta,
        "original_recipient": report.original_recipient,
        "last_attempt_date": _time(report.last_attempt_date),
        "will_retry_until": _time(report.will_retry_until),
        "final_log_id": report.final_log_id,
        "stage": report.stage,
        "reason": verdict.reason,
        "title": verdict.title,
        "party": verdict.party,
        "permanent": verdict.permanent,
        "address_dead": verdict.address_dead,
        "retry": verdict.retry,
        "rule": verdict.rule,
        "said_by": verdict.said_by,
        **_details(verdict),
    }


def of_keys(keys: Keys) -> dict[str, Any]:
    """What tells which mail this one is about."""
    return {
        "return_path_to": keys.return_path_to,
        "original_envelope_id": keys.original_envelope_id,
        "message_ids": keys.message_ids,
        "references": keys.references,
        "returned_references": keys.returned_references,
    }


def of_explanation(report: RecipientReport, verdict: Verdict) -> dict[str, Any]:
    """What `telltale explain --json` prints: the verdict, and how the text was taken."""
    return {
        "reason": verdict.reason,
        "title": verdict.title,
        "meaning": verdict.meaning,
        "party": verdict.party,
        "permanent": verdict.permanent,
        "address_dead": verdict.address_dead,
        "retry": verdict.retry,
        "retry_advice": verdict.retry_advice,
        "actions": verdict.actions,
        "admin_actions": verdict.admin_actions,
        "rule": verdict.rule,
        "said_by": verdict.said_by,
        **_details(verdict),
        "action": report.action,
        "status": str(report.status) if report.status else None,
        "reply_code": report.reply_code,
        "code_name": knowledge.name_of(report.status, report.reply_code),
    }


def _details(verdict: Verdict) -> dict[str, Any]:
    """What the reply tells beside the reason."""
    return {
        "retry_after": int(verdict.retry_after.total_seconds()) if verdict.retry_after else None,
        "block_lists": verdict.block_lists,
        "links": verdict.links,
        "size_limit": verdict.size_limit,
        "new_address": verdict.new_address,
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
