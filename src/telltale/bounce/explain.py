"""What a report means: from its words and codes to a verdict.

Who decides, first to last: the provider's own phrases, phrases that any server may use, the enhanced code as
this provider uses it, the enhanced code as it is registered, the basic code, and at the very end the action.
Words beat numbers, for many servers give the same number to everything. Where a reply quotes another one,
the quoted one is asked first.

Rule 1: whether a failure is final is what the report's action says; no phrase changes that.
Rule 2: an address is dead only where the reason is about the address and the report says "failed".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from telltale.bounce import knowledge, wording
from telltale.bounce.knowledge import Reason, Rule
from telltale.bounce.verdict import Retry, Verdict
from telltale.bounce.wording import Saying
from telltale.mail.report import Action, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus

BY_ITSELF = "It is tried again by itself; sending it again would make a duplicate."
BY_ITSELF_IN_VAIN = "It is tried again by itself, but it will most likely fail unless something changes."

FRONT = 80  # characters
# At these steps nobody has named the recipient yet, so the answer cannot be about the address.
_BEFORE_RCPT = {Stage.CONNECT, Stage.EHLO, Stage.STARTTLS, Stage.AUTH, Stage.MAIL}
_ABOUT_OURS_INSTEAD = {
    "user_unknown": "sender_address_invalid",
    "mailbox_disabled": "sender_address_invalid",
    "domain_not_found": "sender_domain_invalid",
    "null_mx": "sender_domain_invalid",
}
_SUCCESS = {Action.DELIVERED: "delivered", Action.RELAYED: "relayed", Action.EXPANDED: "relayed"}
_OWN_STAGE = {
    Stage.DNS: "dns_failure",
    Stage.CONNECT: "host_unreachable",
    Stage.STARTTLS: "tls_failure",
    Stage.AUTH: "auth_submission",
}
_STATUS_IN_TEXT = re.compile(r"(?<![\w.])[45]\.\d{1,3}\.\d{1,3}(?![\w.]*\.\d)")


@dataclass(frozen=True, slots=True)
class _Finding:
    """Why, and what says so. `meaning` is the rule's own, "" where the reason's will do."""

    reason: str
    rule: str
    meaning: str = ""


_NOTHING = _Finding("unknown", "action")


def explain(report: RecipientReport) -> Verdict:
    """What this report means to the person who sent the mail."""
    if report.action in _SUCCESS:
        return _verdict(report, _Finding(_SUCCESS[report.action], "action"))
    return _verdict(report, _with_the_action(report, _find(report)))


def _find(report: RecipientReport) -> _Finding:
    if report.diagnostic_code.type == "x-local" and (found := _in_our_words(report)):
        return found
    return _in_their_words(report)


def _in_our_words(report: RecipientReport) -> _Finding | None:
    """What our own client found out: its sentences, else the step at which it stood."""
    text = wording.unfolded(report.diagnostic_code.text).lower()
    if rule := knowledge.own_rules().first_match(text, provider=""):
        return _Finding(rule.reason, rule.name, rule.meaning)
    if report.stage in _OWN_STAGE and report.status is None:
        return _Finding(_OWN_STAGE[report.stage], f"stage:{report.stage}")
    return None


def _in_their_words(report: RecipientReport) -> _Finding:
    """The first that says something, beginning with the innermost reply; else the last that says nothing."""
    provider = knowledge.provider_of(report.remote_mta)
    *quoted, outermost = wording.sayings(report.diagnostic_code.text)
    around = _in_one_reply(outermost, report.status, provider, report.stage)
    if around.reason == "expired":
        return around  # what it quotes is the last obstacle
    for saying in quoted:
        at_host = knowledge.provider_of(saying.host) or provider
        found = _in_one_reply(saying, None, at_host, saying.stage or report.stage)
        if found.reason != "unknown":
            return found
    return around


def _in_one_reply(
    saying: Saying, status: EnhancedStatus | None, provider: str, stage: Stage | None
) -> _Finding:
    """`status` is what the report says beside the reply; a code inside the reply is nearer to its author."""
    by_code = _by_code(saying, _status_in(saying) or status, provider, stage)
    rule = knowledge.rules().first_match(saying.text.lower(), provider=provider) if saying.text else None
    # "Mailbox unavailable" says so little that even a code says more.
    if rule is None or (rule.reason == "unknown" and not rule.provider and by_code.reason != "unknown"):
        return _about_us(by_code, stage)
    return _about_us(_by_rule(rule, provider), stage)


def _by_rule(rule: Rule, provider: str) -> _Finding:
    """Its own words only where it is not another provider, which has borrowed the phrase, that they name."""
    is_borrowed = provider not in ("", rule.provider) and knowledge.has_hosts(rule.provider)
    name = rule.name if rule.provider else f"text:{rule.name}"
    return _Finding(rule.reason, name, "" if is_borrowed else rule.meaning)


def _by_code(saying: Saying, status: EnhancedStatus | None, provider: str, stage: Stage | None) -> _Finding:
    if status and (reason := knowledge.reason_of_status(status, provider=provider)) not in ("", "unknown"):
        return _Finding(reason, f"enhanced:{status.kind}")
    if saying.code and (reason := knowledge.reason_of_code(saying.code, stage=stage)):
        return _Finding(reason, f"basic:{saying.code}")
    return _Finding("unknown", f"enhanced:{status.kind}") if status else _NOTHING


def _status_in(saying: Saying) -> EnhancedStatus | None:
    """The enhanced code in the reply; it stands in front, and what comes later may be an IP address."""
    found = _STATUS_IN_TEXT.search(saying.text[:FRONT])
    return EnhancedStatus.parse(found[0]) if found else None


def _about_us(found: _Finding, stage: Stage | None) -> _Finding:
    if stage in _BEFORE_RCPT and found.reason in _ABOUT_OURS_INSTEAD:
        return replace(found, reason=_ABOUT_OURS_INSTEAD[found.reason], meaning="")
    return found


def _with_the_action(report: RecipientReport, found: _Finding) -> _Finding:
    """A mail that was given up is "expired", whatever stood in its way; that is told as the obstacle."""
    status = _status_in(Saying(report.diagnostic_code.text)) or report.status
    if report.action is not Action.FAILED or found.reason == "expired":
        return found
    if status and status.kind == "X.4.7":
        return _Finding("expired", found.rule)
    class_ = status.class_ if status else (report.reply_code or 0) // 100
    if class_ == 4 and found.reason == "unknown":
        # RFC 3464 section 2.3.4: "failed" with a status of class 4 is a mail that was given up.
        return _Finding("expired", "action")
    return found


def _verdict(report: RecipientReport, found: _Finding) -> Verdict:
    reason = knowledge.reasons()[found.reason]
    is_delayed = report.action is Action.DELAYED
    words = _words(reason, report, found, is_delayed=is_delayed)
    return Verdict(
        reason=reason.name,
        title=words["title"],
        meaning=words["meaning"],
        party=reason.party,
        permanent=report.action is Action.FAILED,
        address_dead=reason.address_dead and report.action is Action.FAILED,
        retry=Retry(words["retry"]),
        retry_advice=words["retry_advice"],
        actions=tuple(words["actions"]),
        admin_actions=reason.admin_actions,
        rule=found.rule,
        said_by=_said_by(report),
        retry_after=wording.pause_asked_for(report.diagnostic_code.text) if is_delayed else None,
    )


def _words(reason: Reason, report: RecipientReport, found: _Finding, *, is_delayed: bool) -> dict[str, Any]:
    """The texts of the reason, as they read for this action and this recipient."""
    words: dict[str, Any] = {
        "title": reason.title,
        "meaning": reason.meaning,
        "meaning_with_obstacle": reason.meaning_with_obstacle,
        "retry": reason.retry,
        "retry_advice": reason.retry_advice,
        "actions": reason.actions,
    }
    if is_delayed:
        words["retry"] = Retry.AUTOMATIC
        words["retry_advice"] = BY_ITSELF_IN_VAIN if reason.hopeless else BY_ITSELF
        words.update(reason.delayed)
    obstacle = _obstacle(report) if words["meaning_with_obstacle"] else ""
    meaning = words["meaning_with_obstacle"] if obstacle else found.meaning or words["meaning"]
    # Not str.format: a rule's words may hold braces of their own, and the obstacle is somebody else's text.
    words["meaning"] = meaning.replace("{domain}", _domain(report)).replace("{obstacle}", obstacle)
    return words


def _obstacle(report: RecipientReport) -> str:
    """What stood in the way last: in our words where we understand it, and in theirs."""
    named = wording.last_obstacle(report.diagnostic_code.text)
    saying = wording.sayings(named or report.diagnostic_code.text)[0]
    found = _in_one_reply(saying, None, knowledge.provider_of(report.remote_mta), report.stage)
    if found.reason in ("unknown", "expired"):
        return f"“{named}”" if named else ""
    return f"{_as_a_clause(knowledge.reasons()[found.reason].title)} (“{named or saying.text}”)"


def _as_a_clause(title: str) -> str:
    """A title inside a sentence: "The mailbox is full" loses its capital, "DNS gave no answer" does not."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _domain(report: RecipientReport) -> str:
    _, at, domain = report.final_recipient.rpartition("@")
    return f"the domain {domain}" if at and domain else "the recipient's domain"


def _said_by(report: RecipientReport) -> str:
    if report.diagnostic_code.type == "x-local":
        return ""
    provider = knowledge.provider_of(report.remote_mta)
    return knowledge.provider_title(provider) if provider else report.remote_mta
