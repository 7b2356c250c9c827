"""The engine's knowledge holds together: each rule's sample, each reason's words, each provider's host."""

from __future__ import annotations

import re
import time
from string import Formatter

import pytest

from telltale.bounce import explain, knowledge
from telltale.bounce.knowledge import OWN_RULE_FILES, RULE_FILES, Rule
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.mail.status import EnhancedStatus
from tests.bounce.needed_words import needed

THEIRS = knowledge.rules().rules
OURS = knowledge.own_rules().rules
# Subject -> how many codes it has in the registry of RFC 5248, from detail 0 on.
SUBJECTS = {0: 1, 1: 11, 2: 5, 3: 7, 4: 8, 5: 7, 6: 11, 7: 31}


def of_rule(rule: Rule) -> str:
    return rule.name


def host_of(provider: str) -> str:
    return str(knowledge._load("providers").get(provider, {}).get("sample", ""))


def reported(text: str, *, kind: str = "smtp", host: str = "") -> RecipientReport:
    return RecipientReport(
        "user@lamp.example", Action.FAILED, diagnostic_code=Diagnostic(kind, text), remote_mta=host
    )


@pytest.mark.parametrize("rule", THEIRS, ids=of_rule)
def test_the_sample_of_a_rule_gives_its_reason(rule: Rule):
    verdict = explain(reported(rule.sample, host=host_of(rule.provider)))

    assert verdict.reason == rule.reason


@pytest.mark.parametrize("rule", THEIRS, ids=of_rule)
def test_a_rule_matches_its_own_sample_and_no_neutral_line(rule: Rule):
    assert rule.pattern.search(rule.sample.lower())
    for line in ("", "250 2.0.0 ok", "thank you for your letter, we will write back on monday."):
        assert not rule.pattern.search(line)


@pytest.mark.parametrize("rule", OURS, ids=of_rule)
def test_the_sample_of_a_rule_of_our_own_is_decided_by_that_rule(rule: Rule):
    verdict = explain(reported(rule.sample, kind="x-local"))

    assert (verdict.reason, verdict.rule) == (rule.reason, rule.name)


@pytest.mark.parametrize("rule", [*THEIRS, *OURS], ids=of_rule)
def test_the_words_of_a_rule_stand_in_every_text_that_it_matches(rule: Rule):
    assert list(rule.words) == needed(rule.expression)


@pytest.mark.parametrize("rule", [*THEIRS, *OURS], ids=of_rule)
def test_the_reason_of_a_rule_is_in_the_vocabulary(rule: Rule):
    assert rule.reason in knowledge.reasons()


def test_rules_have_names_of_their_own():
    names = [rule.name for rule in (*THEIRS, *OURS)]

    assert len(set(names)) == len(names)


def test_a_rule_that_needs_a_host_belongs_to_a_provider_whose_hosts_are_known():
    assert [rule.name for rule in THEIRS if rule.needs_host and not knowledge.has_hosts(rule.provider)] == []


def test_every_file_of_rules_is_read():
    there = {file.name.removesuffix(".toml") for file in knowledge._DATA.joinpath("rules").iterdir()}

    assert there == {*RULE_FILES, *OWN_RULE_FILES}


def test_samples_name_no_person():
    """Addresses are of reserved domains (RFC 2606), have names for anybody, or take complaints at a provider."""
    addresses = re.compile(r"([\w.+-]+)@((?:[\w-]+\.)+[\w-]+)")
    reserved = re.compile(r"(?:^|\.)(?:example|test|invalid|localhost)(?:\.|$)")
    nobody = {"user", "nobody", "abc123", "delist", "abuse", "abuse_rbl", "tobr", "tosa"}
    found = {match for rule in THEIRS for match in addresses.findall(rule.sample)}

    assert {(who, where) for who, where in found if who not in nobody and not reserved.search(where)} == set()


@pytest.mark.parametrize("name", knowledge.reasons())
def test_a_reason_fills_in_nothing_but_domain_and_obstacle(name: str):
    reason = knowledge.reasons()[name]
    texts = [reason.title, reason.meaning, reason.meaning_with_obstacle, reason.retry_advice, *reason.actions]
    texts += [text for text in reason.delayed.values() if isinstance(text, str)]

    assert {field for text in texts for _, field, _, _ in Formatter().parse(text) if field} <= {
        "domain",
        "obstacle",
    }


@pytest.mark.parametrize("name", knowledge.reasons())
def test_a_reason_is_told_in_sentences(name: str):
    reason = knowledge.reasons()[name]

    assert not reason.title.endswith(".")
    assert all(text.endswith((".", "?")) for text in (reason.meaning, reason.retry_advice, *reason.actions))


@pytest.mark.parametrize("name", knowledge.reasons())
def test_what_is_ours_to_mend_tells_the_admin_how(name: str):
    reason = knowledge.reasons()[name]

    assert reason.party != "us" or reason.admin_actions


def test_all_registered_enhanced_codes_are_known():
    registered = {f"X.{subject}.{detail}" for subject, most in SUBJECTS.items() for detail in range(most)}

    assert registered <= set(knowledge._load("enhanced"))
    assert len(registered) == 81


@pytest.mark.parametrize("code", knowledge._load("enhanced"))
def test_an_enhanced_code_has_the_form_of_rfc_3463(code: str):
    assert EnhancedStatus.parse(code.replace("X", "5"))


@pytest.mark.parametrize("name", ["enhanced", "basic"])
def test_every_reason_of_a_code_is_in_the_vocabulary(name: str):
    reasons = set()
    for entry in knowledge._load(name).values():
        reasons.add(entry["reason"])
        reasons.update(entry.get("by_class", {}).values())
        reasons.update(entry.get("at_stage", {}).values())
        reasons.update(reason for codes in entry.get("at", {}).values() for reason in codes.values())

    assert reasons <= set(knowledge.reasons())


def test_the_codes_of_providers_belong_to_known_providers():
    named = {name for entry in knowledge._load("enhanced").values() for name in entry.get("at", {})}

    assert all(knowledge.has_hosts(name) for name in named)


@pytest.mark.parametrize("name", knowledge._load("providers"))
def test_a_provider_is_known_by_its_host(name: str):
    assert knowledge.provider_of(host_of(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "550 " + "a" * 9000,
        "550 " + "user " * 2000,
        "550 " + "<a@b" * 2000,
        "host a[1] said: " * 500,
        "550-5.1.1 " * 900,
        "550 " + "account address mailbox recipient " * 250,
        "last transfail: (" * 500,
        "try again in " * 700,
        "'" * 9000,
        " " * 9000,
    ],
    ids=lambda text: text[:16],
)
def test_no_text_keeps_the_engine_busy(text: str):
    explain(reported("550 5.1.1 to compile and load"))
    began = time.process_time()

    explain(reported(text))

    assert time.process_time() - began < 1.0
