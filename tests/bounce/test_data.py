"""The engine's knowledge holds together: each rule's sample, each reason's words, each provider's host."""

from __future__ import annotations

import re
from string import Formatter
from typing import Any

import pytest

from telltale.bounce import compiler, explain, knowledge, sentences
from telltale.bounce.compiler import OWN_RULE_FILES, RULE_FILES
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.mail.status import EnhancedStatus

THEIRS = list(compiler.rule_entries(RULE_FILES))
OURS = list(compiler.rule_entries(OWN_RULE_FILES))
SENTENCES = compiler.load("sentences")["sentence"]
WORDS = compiler.load("words")
# Subject -> how many codes it has in the registry of RFC 5248, from detail 0 on.
SUBJECTS = {0: 1, 1: 11, 2: 5, 3: 7, 4: 8, 5: 7, 6: 11, 7: 31}
TWELVE_LANGUAGES = {"en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "ja", "zh", "ko"}


def by_id(rule: dict[str, Any]) -> str:
    return str(rule["id"])


def host_of(provider: str) -> str:
    return str(compiler.load("providers").get(provider, {}).get("sample", ""))


def reported(text: str, *, kind: str = "smtp", host: str = "") -> RecipientReport:
    return RecipientReport(
        "user@lamp.example", Action.FAILED, diagnostic_code=Diagnostic(kind, text), remote_mta=host
    )


def test_what_the_engine_reads_is_what_people_have_written():
    """`python -m telltale.bounce.compiler` after each change of data/**/*.toml."""
    assert compiler.COMPILED.read_text(encoding="utf-8") == compiler.compiled()


@pytest.mark.parametrize("rule", THEIRS, ids=by_id)
def test_the_sample_of_a_rule_gives_its_reason(rule: dict[str, Any]):
    verdict = explain(reported(rule["sample"], host=host_of(rule.get("provider", ""))))

    assert verdict.reason == rule["reason"]


@pytest.mark.parametrize("rule", [*THEIRS, *OURS], ids=by_id)
def test_a_rule_matches_its_own_sample_and_no_neutral_line(rule: dict[str, Any]):
    assert re.search(rule["pattern"], rule["sample"].lower())
    for line in ("", "250 2.0.0 ok", "thank you for your letter, we will write back on monday."):
        assert not re.search(rule["pattern"], line)


@pytest.mark.parametrize("rule", [*THEIRS, *OURS], ids=by_id)
def test_a_rule_names_its_source(rule: dict[str, Any]):
    assert rule["source"]


@pytest.mark.parametrize("rule", OURS, ids=by_id)
def test_the_sample_of_a_rule_of_our_own_is_decided_by_that_rule(rule: dict[str, Any]):
    verdict = explain(reported(rule["sample"], kind="x-local"))

    assert (verdict.reason, verdict.rule) == (rule["reason"], rule["id"])


@pytest.mark.parametrize("rule", [*THEIRS, *OURS], ids=by_id)
def test_a_text_that_a_rule_matches_is_tried_with_it(rule: dict[str, Any]):
    """The words that the engine looks for before it tries a pattern stand in what the pattern matches."""
    text = rule["sample"].lower()
    rules = knowledge.rules() if rule in THEIRS else knowledge.own_rules()

    assert rule["id"] in {tried.name for tried, _ in rules.matches(text, provider=rule.get("provider", ""))}


@pytest.mark.parametrize(
    ("pattern", "ways"),
    [
        (r"\bno mailbox\b", [["no"]]),
        (r"\bquota\b.*\bexceeded\b", [["quota"], ["exceeded"]]),
        (r"\bgr[ea]ylist", [["~ylist"]]),  # whatever stands before and behind
        (r"listed?", [["~liste"]]),
        ("用户不存在", [["~用户不存在"]]),
    ],
)
def test_the_words_that_a_pattern_needs_are_read_from_it(pattern: str, ways: list[list[str]]):
    [way] = compiler.ways(pattern)

    assert all(words in way for words in ways)


def test_each_branch_of_a_pattern_needs_words_of_its_own():
    assert compiler.ways("overquota|stopmail") == [[["~overquota"]], [["~stopmail"]]]


@pytest.mark.parametrize("rule", [*THEIRS, *OURS], ids=by_id)
def test_the_reason_of_a_rule_is_in_the_vocabulary(rule: dict[str, Any]):
    assert rule["reason"] in knowledge.reasons()


@pytest.mark.parametrize(
    ("sentence", "text"),
    [(sentence, text) for sentence in SENTENCES for text in sentence["says"]],
    ids=lambda value: value["name"] if isinstance(value, dict) else None,
)
def test_a_sentence_is_understood_from_its_words(sentence: dict[str, Any], text: str):
    understood = sentences.meaning_of(sentences.spoken_of(text.lower()))

    assert understood
    assert understood.reason == sentence["reason"]


def test_sentences_have_names_of_their_own_and_reasons_of_the_vocabulary():
    assert len({sentence["name"] for sentence in SENTENCES}) == len(SENTENCES)
    assert {sentence["reason"] for sentence in SENTENCES} <= set(knowledge.reasons())


@pytest.mark.parametrize("thing", ["recipient", "mailbox", "unknown", "full", "spam", "message", "sender"])
def test_what_replies_speak_of_most_is_known_in_twelve_languages(thing: str):
    assert set(WORDS[thing]) >= TWELVE_LANGUAGES


def test_a_word_that_all_languages_share_is_not_taken_for_another():
    """Without its accent, a word of one language may be a word of all replies: Hungarian "ön" is no "on"."""
    plain = "550 on it is in a to we or as at last day no so on by of for the and was has been this"

    assert sentences.meaning_of(sentences.spoken_of(plain)) is None


def test_rules_have_names_of_their_own():
    names = [rule["id"] for rule in (*THEIRS, *OURS)]

    assert len(set(names)) == len(names)


def test_a_rule_that_needs_a_host_belongs_to_a_provider_whose_hosts_are_known():
    needing = [rule for rule in THEIRS if rule.get("host")]

    assert [rule["id"] for rule in needing if not knowledge.has_hosts(rule.get("provider", ""))] == []


def test_every_file_of_rules_is_read():
    there = {file.name.removesuffix(".toml") for file in compiler.DATA.joinpath("rules").iterdir()}

    assert there == {*RULE_FILES, *OWN_RULE_FILES}


def test_samples_name_no_person():
    """Addresses are of reserved domains (RFC 2606), have names for anybody, or take complaints at a provider."""
    addresses = re.compile(r"([\w.+-]+)@((?:[\w-]+\.)+[\w-]+)")
    reserved = re.compile(r"(?:^|\.)(?:example|test|invalid|localhost)(?:\.|$)")
    nobody = {"user", "nobody", "abc123", "delist", "abuse", "abuse_rbl", "tobr", "tosa"}
    found = {match for rule in THEIRS for match in addresses.findall(rule["sample"])}

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

    assert registered <= set(compiler.load("enhanced"))
    assert len(registered) == 81


@pytest.mark.parametrize("code", compiler.load("enhanced"))
def test_an_enhanced_code_has_the_form_of_rfc_3463(code: str):
    assert EnhancedStatus.parse(code.replace("X", "5"))


@pytest.mark.parametrize("name", ["enhanced", "basic"])
def test_every_reason_of_a_code_is_in_the_vocabulary(name: str):
    reasons = set()
    for entry in compiler.load(name).values():
        reasons.add(entry["reason"])
        reasons.update(entry.get("by_class", {}).values())
        reasons.update(entry.get("at_stage", {}).values())
        reasons.update(reason for codes in entry.get("at", {}).values() for reason in codes.values())

    assert reasons <= set(knowledge.reasons())


SERVICES = compiler.load("services")


@pytest.mark.parametrize("event", [f"{name}; {class_}" for name in SERVICES for class_ in SERVICES[name]])
def test_a_class_of_a_service_means_a_reason_of_the_vocabulary(event: str):
    assert knowledge.reason_of_event(event) in knowledge.reasons()


def test_the_services_are_known_by_their_hosts():
    assert all(knowledge.has_hosts(name) for name in SERVICES)


def test_the_codes_of_providers_belong_to_known_providers():
    named = {name for entry in compiler.load("enhanced").values() for name in entry.get("at", {})}

    assert all(knowledge.has_hosts(name) for name in named)


@pytest.mark.parametrize("name", compiler.load("providers"))
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
        "554 blocked, listed in " + "bl-" * 3000,
        "554 blocked, listed in " + "bl." * 3000,
        "554 blocked, listed in " + "a-" * 4000,
        "550 http://" + "a." * 4000,
        "550 " + "http://a.b " * 800,
        "552 message too large, limit " + "1 " * 4000,
        "552 message too large, limit " + "1," * 4000,
        "551 user has moved to " + "a@" * 4000,
        "551 user has moved to " + "a." * 4000,
        "550 " + "用户" * 4000,
        "550 " + "empfänger ist nicht " * 500,
        r"550 " + r"\xee" * 2000,
        "smtp error from remote server after " + "a " * 4000,
        "'" * 9000,
        " " * 9000,
    ],
    ids=lambda text: text[:16],
)
@pytest.mark.usefixtures("every_reading_ends")
def test_no_text_keeps_the_engine_busy(text: str):
    assert explain(reported(text)).title


@pytest.mark.parametrize("name", compiler.load("block_lists"))
def test_a_block_list_is_known_by_name(name: str):
    entry = compiler.load("block_lists")[name]
    named = knowledge.block_lists_in(entry["sample"].lower())

    assert entry["name"] in [block_list.name for block_list in named]
    assert entry["source"]
    assert entry.get("delisting", "https://").startswith("https://")
