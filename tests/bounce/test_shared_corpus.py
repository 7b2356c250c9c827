"""Holds the figures that the engine reaches on a large labelled corpus, which is not ours and therefore not here.

The variable TELLTALE_CORPUS names its folder; CONTRIBUTING.md says what the folder has. A figure may only rise: where
the engine reads more, raise its floor.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from telltale.bounce import Kind, Returned, explain, read
from telltale.bounce.said import report_of
from telltale.mail.report import Action, RecipientReport
from tests.plugin import CORPUS

pytestmark = pytest.mark.skipif(not CORPUS, reason="TELLTALE_CORPUS names no corpus: CONTRIBUTING.md")

# The least share that has to be right. Where it says 1, one that is wrong is too many.
FLOORS = {
    "recipients found": 0.994,
    "nobody else blamed": 1,
    "finality": 0.998,
    "diagnostic verbatim": 0.992,
    "kind": 1,
    "no false alarm": 1,
    "no mail takes a second": 1,
    "reason of a provider's reply": 0.967,
    "reason of a bounce's diagnostic": 0.856,
    "no good address called dead by a provider's reply": 1,
    "no good address called dead by a bounce's diagnostic": 0.987,
}
SECOND = 1.0  # of this process's own time
SHORTEST_DIAGNOSTIC = 12  # characters; a shorter one is a code
MOST_SHOWN = 40
KINDS = {"success": Kind.DELIVERED, "mdn": Kind.READ_RECEIPT}  # the labels' names that are not ours
FAILURES = (Kind.BOUNCE, Kind.DELAYED)
# The coarse classes of the labels, and the reasons that count as each.
CLASSES = {
    "address": """user_unknown mailbox_disabled mailbox_inactive mailbox_moved address_problem address_syntax
        address_ambiguous mailbox_problem utf8_unsupported list_problem""",
    "full": "mailbox_full mailbox_inactive",
    "domain": "domain_not_found null_mx no_route dns_failure not_accepting",
    "temp": """no_route dns_failure host_unreachable connection_lost connection_failed network congestion expired
        routing_loop system_error system_full system_busy not_accepting tls_required tls_failure too_many_connections
        greylisted challenge local_delivery config system_misconfigured mailbox_unavailable_temp""",
    "size": "message_too_large header_too_large",
    "content": "header_too_large content_rejected content_problem attachment_blocked malformed_message url_blocklisted",
    "spam": "content_rejected spam_content url_blocklisted",
    "virus": "virus attachment_blocked",
    "protocol": "malformed_message protocol_error utf8_unsupported address_syntax",
    "reputation": """url_blocklisted ip_blocklisted domain_blocklisted ip_reputation domain_reputation ptr_missing
        suppressed geo_blocked""",
    "auth": """auth_spf auth_dkim auth_dmarc auth_missing auth_multiple auth_arc auth_submission ptr_missing""",
    "sender": """sender_address_invalid sender_domain_invalid sender_null_mx auth_submission account_disabled
        ptr_missing""",
    "rate": "rate_limited recipient_rate_limited too_many_connections too_many_recipients our_quota",
    "policy": """tls_required policy recipient_policy recipient_restricted our_policy account_disabled suppressed
        list_problem geo_blocked challenge too_many_recipients""",
    "relay": "relay_denied auth_submission config",
    "unknown": "unknown",
}


@dataclass(slots=True)
class Tally:
    """For each figure how often it was right, and what was wrong."""

    right: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def count(self, figure: str, *, is_right: bool, what: str) -> None:
        if is_right:
            self.right[figure] += 1
        else:
            self.wrong.setdefault(figure, []).append(what)

    def share(self, figure: str) -> float:
        wrong = len(self.wrong.get(figure, ()))
        return self.right[figure] / (self.right[figure] + wrong) if self.right[figure] + wrong else 0.0


@pytest.fixture(scope="module")
def tally() -> Tally:
    tally = Tally()
    for label in _lines("labels.jsonl"):
        if label["kind"]:  # else people could not tell
            _count_mail(label, tally)
    for reply in _lines("replies.jsonl"):
        _count_reply(reply, tally)
    return tally


@pytest.mark.parametrize("figure", FLOORS)
def test_a_figure_does_not_fall(figure: str, tally: Tally) -> None:
    wrong = "\n".join(tally.wrong.get(figure, [])[:MOST_SHOWN])

    assert tally.share(figure) >= FLOORS[figure], f"{figure}: {tally.share(figure):.2%}. Wrong are:\n{wrong}"


def _lines(name: str) -> Iterator[dict[str, Any]]:
    for line in Path(CORPUS, name).read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)


def _count_mail(label: dict[str, Any], tally: Tally) -> None:
    path = label["path"]
    raw = Path(CORPUS, path).read_bytes()
    begun = time.process_time()
    returned = read(raw)
    for report in returned.reports:
        explain(report)
    tally.count("no mail takes a second", is_right=time.process_time() - begun < SECOND, what=path)
    kind = KINDS.get(label["kind"], label["kind"])
    tally.count("kind", is_right=returned.kind == kind, what=f"{path}: {returned.kind}, not {kind}")
    if kind in FAILURES:
        _count_recipients(label, returned, tally)
    else:
        tally.count("no false alarm", is_right=returned.kind not in FAILURES, what=path)


def _count_recipients(label: dict[str, Any], returned: Returned, tally: Tally) -> None:
    wanted = [
        (one, [_address(name) for name in (one["recipient"], *(one["recipient_alt"] or ()))])
        for one in label["reports"]
    ]
    if not wanted:
        return
    blamed = _blamed(returned)
    for one, names in wanted:
        found = next((blamed[name] for name in names if name in blamed), None)
        tally.count(
            "recipients found", is_right=found is not None, what=f"{label['path']}: {one['recipient']}"
        )
        if found is not None:
            _count_report(label, one, found, tally)
    for address in blamed:
        is_wanted = any(address in names for _, names in wanted)
        tally.count("nobody else blamed", is_right=is_wanted, what=f"{label['path']}: {address}")


def _count_report(
    label: dict[str, Any], wanted: dict[str, Any], found: RecipientReport, tally: Tally
) -> None:
    action = wanted["action"] or ("delayed" if label["kind"] == "delayed" else "failed")
    is_right = (found.action is Action.DELAYED) == (action == "delayed")
    tally.count("finality", is_right=is_right, what=f"{label['path']}: {found.action}, not {action}")
    said, right = _in_one_line(found.diagnostic_code.text), _in_one_line(wanted["diagnostic"] or "")
    if len(right) >= SHORTEST_DIAGNOSTIC:
        tally.count(
            "diagnostic verbatim", is_right=said == right, what=f"{label['path']}: {said!r}, not {right!r}"
        )


def _count_reply(reply: dict[str, Any], tally: Tally) -> None:
    text = _in_one_line(reply["text"], without_type=False)
    whose = "a provider's reply" if reply["provider"] else "a bounce's diagnostic"
    verdict = explain(report_of(text))
    right = {reason for name in reply["classes"] for reason in CLASSES[name].split()}
    tally.count(f"reason of {whose}", is_right=verdict.reason in right, what=f"{verdict.reason}: {text}")
    is_good = not {"address", "domain"} & set(reply["classes"])
    is_right = not (is_good and verdict.address_dead)
    tally.count(
        f"no good address called dead by {whose}", is_right=is_right, what=f"{verdict.reason}: {text}"
    )


def _blamed(returned: Returned) -> dict[str, RecipientReport]:
    """Whom a notice of failure or delay is about; the first report of each address."""
    if returned.kind not in FAILURES:
        return {}
    blamed: dict[str, RecipientReport] = {}
    for report in returned.reports:
        if report.action in (Action.FAILED, Action.DELAYED):
            blamed.setdefault(_address(report.final_recipient), report)
    blamed.pop("", None)
    return blamed


def _address(text: str) -> str:
    address = re.sub(r"^\s*(?:rfc822|utf-8)\s*;\s*", "", text or "", flags=re.IGNORECASE)
    address = address.strip().strip("<>").strip('"').lower().rstrip(".;,")
    return address if "@" in address else ""


def _in_one_line(text: str, *, without_type: bool = True) -> str:
    """Whether a reply is folded, and where, is the reporting server's affair; so is the type of a diagnostic."""
    if without_type:
        text = re.sub(r"^\s*(?:smtp|x-[a-z-]+)\s*;\s*", "", text, flags=re.IGNORECASE)
    return " ".join(text.split())
