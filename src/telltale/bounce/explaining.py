"""What a report means: from its words and codes to a verdict.

Who decides, first to last: the provider's own phrases, phrases that any server may use, what the words of a
sentence mean together, the enhanced code as this provider uses it, the enhanced code as it is registered, the
basic code, the class that an e-mail service gave, and at the very end the action. Words beat numbers, for many
servers give the same number to everything. Where a reply quotes another one, the quoted one is asked first.

Rule 1: whether a failure is final is what the report's action says; no phrase changes that.
Rule 2: an address is dead only where the reason is about the address and the report says "failed".
Rule 3: where the words leave a doubt whether it is the address that is gone, it is not dead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from telltale.bounce import details, knowledge, sentences, translation, wording
from telltale.bounce.knowledge import BlockList, Reason, Rule
from telltale.bounce.patterns import pattern
from telltale.bounce.translation import ENGLISH, filled, translatable, translator
from telltale.bounce.verdict import Retry, Verdict
from telltale.bounce.wording import Saying
from telltale.mail.report import SERVICE_EVENT, Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus

BY_ITSELF = translatable("It is tried again by itself; sending it again would make a duplicate.")
BY_ITSELF_IN_VAIN = translatable(
    "It is tried again by itself, but it will most likely fail unless something changes."
)
_DOMAIN = translatable("the domain {domain}")  # inside a sentence, as all of these four
_SOME_DOMAIN = translatable("the recipient's domain")
_OBSTACLE = translatable("{title} (“{words}”)")
_OBSTACLE_IN_THEIR_WORDS = translatable("“{words}”")
_DELISTING = translatable("Look our address up at {list} and ask to be removed there: {link}")

FRONT = 80  # characters
# At these steps nobody has named the recipient yet, so the answer cannot be about the address.
_BEFORE_RCPT = {Stage.CONNECT, Stage.EHLO, Stage.STARTTLS, Stage.AUTH, Stage.MAIL}
_AFTER_RCPT = {Stage.DATA, Stage.CONTENT}
_ABOUT_OURS_INSTEAD = {
    "user_unknown": "sender_address_invalid",
    "mailbox_disabled": "account_disabled",
    "domain_not_found": "sender_domain_invalid",
    "null_mx": "sender_domain_invalid",
}
_STATUS_OF_SENDER = {"X.1.7", "X.1.8"}  # RFC 3463 section 3.2: the sender's address is bad
_SUCCESS = {Action.DELIVERED: "delivered", Action.RELAYED: "relayed", Action.EXPANDED: "relayed"}
_OWN_STAGE = {
    Stage.DNS: "dns_failure",
    Stage.CONNECT: "host_unreachable",
    Stage.STARTTLS: "tls_failure",
    Stage.AUTH: "auth_submission",
}
_STATUS_IN_TEXT = re.compile(r"(?<![\w.])[45]\.\d{1,3}\.\d{1,3}(?![\w.]*\.\d)")
_STATUS_AT_THE_END = r"#([45]\.\d{1,3}\.\d{1,3})\b"  # qmail: "no mailbox here by that name (#5.1.1)"
_BLAMED_ON_LISTS = {
    "ip_blocklisted",
    "domain_blocklisted",
    "url_blocklisted",
    "ip_reputation",
    "domain_reputation",
}
# dnsbl.lamp.example, ix.dnsbl.lamp.example, bl2.lamp.example
_HOST_OF_A_LIST = (
    r"\b(?:[\w-]{1,63}\.){0,6}[\w-]{0,30}(?:rbl|bl|blacklist|blocklist)[\w-]{0,30}"
    r"\.[\w-]{1,63}\.[\w.-]{0,63}\w"
)
MOST_LISTS = 5
# Who else may be meant where a phrase seems to say that the recipient is not there.
_SENDER = ("sender", "ourselves")
_DOUBTS = ("whether", "policy", "reverse_name", "ip", "login", "spam", "virus", "blacklist", "another_matter")
_DOUBTS_OF_CODES = (*_DOUBTS, "later", "content", "attachment", "busy", "full", "pace")


@dataclass(frozen=True, slots=True)
class _Finding:
    """Why, and what says so. `meaning` is the rule's own, "" where the reason's will do."""

    reason: str
    rule: str
    meaning: str = ""


_NOTHING = _Finding("unknown", "action")


def explain(report: RecipientReport, *, language: str = ENGLISH) -> Verdict:
    """What this report means to the person who sent the mail, in their language: "de", "fr-CA", "es_MX.UTF-8".

    In English where the language is not one of `translation.LANGUAGES`.
    """
    language = translation.known(language)
    if report.action in _SUCCESS:
        return _verdict(report, _Finding(_SUCCESS[report.action], "action"), language)
    finding = _find(report)
    if report.by_own_relay and finding.reason == "relay_denied":
        finding = replace(
            finding, reason="auth_submission", meaning=""
        )  # it is there for us, and wants to know us
    return _verdict(report, _with_the_action(report, finding), language)


def _find(report: RecipientReport) -> _Finding:
    found = _found(report.diagnostic_code, report.status, report.remote_mta, report.stage)
    return _by_service(report) or found if found.reason == "unknown" else found


def _by_service(report: RecipientReport) -> _Finding | None:
    """How the e-mail service that tried for us reads words that say nothing to us."""
    for event in (value for name, value in report.other_fields if name == SERVICE_EVENT):
        reason = knowledge.reason_of_event(event)
        if reason and not (
            knowledge.reasons()[reason].address_dead and _is_in_doubt(report.diagnostic_code.text)
        ):
            return _Finding(reason, f"service:{event}")
    return None


@lru_cache(maxsize=16)  # a notice may say the same of a thousand recipients
def _found(
    diagnostic: Diagnostic, status: EnhancedStatus | None, remote_mta: str, stage: Stage | None
) -> _Finding:
    """What is found does not depend on whom the report is about, nor on what became of the mail."""
    if diagnostic.type == "x-local" and (found := _in_our_words(diagnostic.text, status, stage)):
        return found
    return _in_their_words(diagnostic.text, status, knowledge.provider_of(remote_mta), stage)


def _in_our_words(text: str, status: EnhancedStatus | None, stage: Stage | None) -> _Finding | None:
    """What our own client found out: its sentences, else the step at which it stood."""
    for rule, _ in knowledge.own_rules().matches(wording.unfolded(text).lower(), provider=""):
        return _Finding(rule.reason, rule.name, rule.meaning)
    if stage in _OWN_STAGE and status is None:
        return _Finding(_OWN_STAGE[stage], f"stage:{stage}")
    return None


def _in_their_words(text: str, status: EnhancedStatus | None, provider: str, stage: Stage | None) -> _Finding:
    """The first that says something, beginning with the innermost reply; else the last that says nothing."""
    *quoted, outermost = wording.sayings(text)
    around = _in_one_reply(outermost, status, provider, stage)
    if around.reason == "expired":
        return around  # what it quotes is the last obstacle
    for saying in quoted:
        at_host = knowledge.provider_of(saying.host) or provider
        found = _in_one_reply(saying, None, at_host, saying.stage or stage)
        if found.reason != "unknown":
            return found
    return around


def _in_one_reply(
    saying: Saying, status: EnhancedStatus | None, provider: str, stage: Stage | None
) -> _Finding:
    """`status` is what the report says beside the reply; a code inside the reply is nearer to its author."""
    status = _status_in(saying.text) or status
    found = _by_rule(saying, provider)
    # "Mailbox unavailable" says so little that even a code says more.
    if found is None or (found.reason == "unknown" and found.rule.startswith("text:")):
        other = _by_sentence_or_code(saying, status, provider, stage)
        found = found if found and other.reason == "unknown" else other
    return _after_data(_about_us(found, status, stage), provider, stage)


def _by_rule(saying: Saying, provider: str) -> _Finding | None:
    for rule, match in knowledge.rules().matches(saying.text, provider=provider):
        if not knowledge.reasons()[rule.reason].address_dead or rule.provider == provider != "":
            return _of_rule(rule, provider)
        if (reason := _without_doubt(rule.reason, saying.text, match)) == rule.reason:
            return _of_rule(rule, provider)
        if reason:
            return _Finding(reason, f"text:{rule.name}")
    return None


def _of_rule(rule: Rule, provider: str) -> _Finding:
    """Its own words only where it is not another provider, which has borrowed the phrase, that they name."""
    is_borrowed = provider not in ("", rule.provider) and knowledge.has_hosts(rule.provider)
    name = rule.name if rule.provider else f"text:{rule.name}"
    return _Finding(rule.reason, name, "" if is_borrowed else rule.meaning)


def _without_doubt(reason: str, text: str, match: re.Match[str]) -> str:
    """The reason why an address is dead, or another where the sentence is about ours, or "" where it is in doubt."""
    spoken_of = sentences.spoken_of_around(text, match)
    if spoken_of & sentences.things(*_SENDER):
        return _ABOUT_OURS_INSTEAD[reason]
    if spoken_of & sentences.things("later"):
        return "mailbox_inactive" if reason == "mailbox_disabled" else ""
    return "" if spoken_of & sentences.things(*_DOUBTS) else reason


def _by_sentence_or_code(
    saying: Saying, status: EnhancedStatus | None, provider: str, stage: Stage | None
) -> _Finding:
    sentence = sentences.meaning_of(sentences.spoken_of(saying.text))
    by_sentence = _Finding(sentence.reason, f"sentence:{sentence.name}") if sentence else _NOTHING
    if sentence and not sentence.is_weak:
        return by_sentence
    by_code = _by_code(saying, status, provider, stage)
    return by_sentence if sentence and by_code.reason == "unknown" else by_code


def _by_code(saying: Saying, status: EnhancedStatus | None, provider: str, stage: Stage | None) -> _Finding:
    reason = knowledge.reason_of_status(status, provider=provider) if status else ""
    is_known = reason not in ("", "unknown")
    if status and is_known and not (knowledge.reasons()[reason].address_dead and _is_in_doubt(saying.text)):
        return _Finding(reason, f"enhanced:{status.kind}")
    if saying.code and (reason := knowledge.reason_of_code(saying.code, stage=stage)):
        return _Finding(reason, f"basic:{saying.code}")
    return _Finding("unknown", f"enhanced:{status.kind}") if status else _NOTHING


def _is_in_doubt(text: str) -> bool:
    """Whether the words beside a code are about something else than an address that is gone."""
    doubts = sentences.things(*_SENDER, *_DOUBTS_OF_CODES)
    return any(spoken_of & doubts for spoken_of in sentences.spoken_of(text))


def _status_in(text: str) -> EnhancedStatus | None:
    """The enhanced code in a reply; it stands in front, and what comes later may be an IP address."""
    if found := _STATUS_IN_TEXT.search(text[:FRONT]):
        return EnhancedStatus.parse(found[0])
    found = pattern(_STATUS_AT_THE_END).search(text) if "#" in text else None
    return EnhancedStatus.parse(found[1]) if found else None


def _about_us(found: _Finding, status: EnhancedStatus | None, stage: Stage | None) -> _Finding:
    is_about_sender = stage in _BEFORE_RCPT or (status and status.kind in _STATUS_OF_SENDER)
    if is_about_sender and found.reason in _ABOUT_OURS_INSTEAD:
        return replace(found, reason=_ABOUT_OURS_INSTEAD[found.reason], meaning="")
    return found


def _after_data(found: _Finding, provider: str, stage: Stage | None) -> _Finding:
    """Some Japanese carriers know every user at RCPT, and let their filters say "unknown" after DATA."""
    if stage in _AFTER_RCPT and found.reason == "user_unknown":
        return replace(found, reason=knowledge.reason_of_unknown_after_data(provider) or found.reason)
    return found


def _with_the_action(report: RecipientReport, found: _Finding) -> _Finding:
    """A mail that was given up is "expired", whatever stood in its way; that is told as the obstacle."""
    if report.action is not Action.FAILED or found.reason == "expired":
        return found
    status = _status_in(report.diagnostic_code.text) or report.status
    if status and status.kind == "X.4.7":
        return _Finding("expired", found.rule)
    class_ = status.class_ if status else (report.reply_code or 0) // 100
    if class_ == 4 and found.reason == "unknown":
        # RFC 3464 section 2.3.4: "failed" with a status of class 4 is a mail that was given up.
        return _Finding("expired", "action")
    return found


def _verdict(report: RecipientReport, found: _Finding, language: str) -> Verdict:
    reason = knowledge.reasons()[found.reason]
    is_delayed = report.action is Action.DELAYED
    words = _words_of(reason.name, language, is_delayed=is_delayed)
    text = wording.unfolded(report.diagnostic_code.text)
    lists = _lists_in(text, found)
    return Verdict(
        reason=reason.name,
        title=words.title,
        meaning=_meaning(words, report, found, language),
        party=reason.party,
        permanent=report.action is Action.FAILED,
        address_dead=reason.address_dead and report.action is Action.FAILED,
        retry=words.retry,
        retry_advice=words.retry_advice,
        actions=words.actions,
        admin_actions=(*words.admin_actions, *(_delisting(one, language) for one in lists if one.delisting)),
        rule=found.rule,
        said_by=_said_by(report),
        retry_after=wording.pause_asked_for(text) if is_delayed else None,
        block_lists=tuple(one.name for one in lists),
        links=details.links(text),
        size_limit=details.size_limit(text.lower()) if reason.name == "message_too_large" else None,
        new_address=_new_address(text, report) if reason.name == "mailbox_moved" else "",
    )


@cache
def _words_of(name: str, language: str, *, is_delayed: bool) -> Reason:
    """The reason as it reads in this language for a mail that has failed, or is still tried."""
    reason = knowledge.reasons()[name]
    return translation.of_reason(_while_tried(reason) if is_delayed else reason, language)


def _while_tried(reason: Reason) -> Reason:
    advice = BY_ITSELF_IN_VAIN if reason.hopeless else BY_ITSELF
    changed = {"retry": Retry.AUTOMATIC, "retry_advice": advice, **reason.delayed}
    changed.update(retry=Retry(changed["retry"]), actions=tuple(changed.get("actions", reason.actions)))
    return replace(reason, **changed)


def _meaning(words: Reason, report: RecipientReport, found: _Finding, language: str) -> str:
    obstacle = _obstacle(report, language) if words.meaning_with_obstacle else ""
    if obstacle:
        return filled(words.meaning_with_obstacle, obstacle=obstacle)
    meaning = translator(language)(found.meaning) or words.meaning
    return filled(meaning, domain=_domain(report, language)) if "{" in meaning else meaning


def _obstacle(report: RecipientReport, language: str) -> str:
    """What stood in the way last: in our words where we understand it, and in theirs."""
    translated = translator(language)
    named = wording.last_obstacle(report.diagnostic_code.text)
    words = named or wording.unfolded(report.diagnostic_code.text)
    saying = wording.sayings(words)[0]
    found = _in_one_reply(saying, None, knowledge.provider_of(report.remote_mta), report.stage)
    if found.reason in ("unknown", "expired"):
        return filled(translated(_OBSTACLE_IN_THEIR_WORDS), words=named) if named else ""
    title = translation.as_a_clause(translated(knowledge.reasons()[found.reason].title), language)
    return filled(translated(_OBSTACLE), title=title, words=wording.shortened(words))


def _domain(report: RecipientReport, language: str) -> str:
    _, at, domain = report.final_recipient.rpartition("@")
    if not at or not domain:
        return translator(language)(_SOME_DOMAIN)
    return filled(translator(language)(_DOMAIN), domain=domain)


def _lists_in(text: str, found: _Finding) -> Sequence[BlockList]:
    """The lists that a reply blames: those that we know, and beside them whatever looks like the host of one."""
    if found.reason not in _BLAMED_ON_LISTS:
        return ()
    text = text.lower()
    hosts = dict.fromkeys(pattern(_HOST_OF_A_LIST).findall(text))
    others = [BlockList(host, "") for host in hosts if not knowledge.block_lists_in(host)]
    return (*knowledge.block_lists_in(text), *others)[:MOST_LISTS]


def _delisting(block_list: BlockList, language: str) -> str:
    return filled(translator(language)(_DELISTING), list=block_list.name, link=block_list.delisting)


def _new_address(text: str, report: RecipientReport) -> str:
    return details.new_address(text, old=report.final_recipient)


def _said_by(report: RecipientReport) -> str:
    if report.diagnostic_code.type == "x-local":
        return ""
    provider = knowledge.provider_of(report.remote_mta)
    return knowledge.provider_title(provider) if provider else report.remote_mta
