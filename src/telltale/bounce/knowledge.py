"""What the engine knows, read from `data/` when it is first asked: reasons, rules, codes, providers.

Rule 1: knowledge is data. A new phrase is a new rule in a file, with a sample that a test runs.
Rule 2: nothing is read or compiled before it is needed; a rule's pattern only once its words were seen.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from telltale.bounce.verdict import Party, Retry
from telltale.mail.report import Stage
from telltale.mail.status import EnhancedStatus

# Tried in this order, and the rules of a file in theirs; the rules of the provider that spoke come before all.
# What is about us, the sender, stands before what is about the recipient: "sender address rejected: domain
# not found" holds words that look like an unknown domain of the recipient.
RULE_FILES = (
    "google",
    "microsoft",
    "yahoo",
    "apple",
    "america",
    "europe",
    "asia",
    "block_lists",
    "filters",
    "mail_servers",
    "sending_services",
    "mail_hosts",
    "english_us",
    "german",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "dutch",
    "polish",
    "russian",
    "japanese",
    "chinese",
    "korean",
    "english_message",
    "english_mailbox",
    "english_way",
    "english_no_such_user",
    "english_network",
    "english_last",
)
OWN_RULE_FILES = ("ourselves",)  # what our own SMTP client says; for "x-local" alone
_DATA = Path(__file__).parent / "data"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason of the vocabulary, in the words of data/reasons.toml; {domain} and {obstacle} not filled in."""

    name: str
    title: str
    meaning: str
    party: Party
    address_dead: bool
    retry: Retry
    retry_advice: str
    actions: tuple[str, ...]
    admin_actions: tuple[str, ...] = ()
    hopeless: bool = False
    meaning_with_obstacle: str = ""
    delayed: Mapping[str, Any] = field(default_factory=dict)  # what reads differently while it is temporary


@dataclass(frozen=True)
class Rule:
    """One phrase and what it means. `words`: one of them stands in every text that the pattern matches."""

    name: str
    reason: str
    expression: str
    words: tuple[str, ...]
    provider: str = ""
    needs_host: bool = False  # the words are too common: they count from this provider's hosts only
    meaning: str = ""  # where it tells more than the reason's own
    sample: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.expression)


class Rules:
    """An ordered list of rules that tries only those whose words are in the text."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._of_word: dict[str, list[int]] = defaultdict(list)
        self._of_part: dict[str, list[int]] = defaultdict(list)
        self._always: list[int] = []
        for number, rule in enumerate(self.rules):
            self._file(number, rule)

    def first_match(self, text: str, *, provider: str) -> Rule | None:
        """The first rule that matches this lower-case text; those of the provider itself come first."""
        for rule in self._likely(text, provider):
            if (rule.provider == provider or not rule.needs_host) and rule.pattern.search(text):
                return rule
        return None

    def _file(self, number: int, rule: Rule) -> None:
        for word in rule.words:
            if word.startswith("~"):
                self._of_part[word[1:]].append(number)
            else:
                self._of_word[word].append(number)
        if not rule.words:
            self._always.append(number)

    def _likely(self, text: str, provider: str) -> Iterator[Rule]:
        numbers = set(self._always)
        for word in self._of_word.keys() & set(_WORD.findall(text)):
            numbers.update(self._of_word[word])
        for part, of_part in self._of_part.items():
            if part in text:
                numbers.update(of_part)
        found = [self.rules[number] for number in sorted(numbers)]
        if provider:
            found.sort(key=lambda rule: rule.provider != provider)
        return iter(found)


@cache
def reasons() -> Mapping[str, Reason]:
    return {name: _reason(name, entry) for name, entry in _load("reasons").items()}


@cache
def rules() -> Rules:
    """The rules for what others say."""
    return _rules(RULE_FILES)


@cache
def own_rules() -> Rules:
    """The rules for what our own SMTP client says."""
    return _rules(OWN_RULE_FILES)


def reason_of_status(status: EnhancedStatus, *, provider: str) -> str:
    """What an enhanced status code means, above all at this provider; "" for a code that nobody registered."""
    entry = _load("enhanced").get(status.kind, {})
    at_provider: str = entry.get("at", {}).get(provider, {}).get(str(status), "")
    by_class: str = entry.get("by_class", {}).get(str(status.class_), "")
    return at_provider or by_class or str(entry.get("reason", ""))


def reason_of_code(code: int, *, stage: Stage | None) -> str:
    """What a basic reply code means at this step of the session; "" for an unknown one."""
    entry = _load("basic").get(str(code), {})
    at_stage: str = entry.get("at_stage", {}).get(stage.value if stage else "", "")
    return at_stage or str(entry.get("reason", ""))


@lru_cache(maxsize=1024)
def provider_of(host: str) -> str:
    """Who runs this host, by the names of data/providers.toml; "" where that is not known."""
    host = host.strip().rstrip(".").lower()
    return next((name for name, pattern in _hosts().items() if pattern.search(host)), "")


def has_hosts(provider: str) -> bool:
    """Whether this is a provider whose hosts are known: not a program that many run, such as Postfix."""
    return provider in _load("providers")


def provider_title(provider: str) -> str:
    """What people call this provider: "Google"."""
    return str(_load("providers")[provider]["name"])


@cache
def _hosts() -> Mapping[str, re.Pattern[str]]:
    return {name: re.compile(entry["host"]) for name, entry in _load("providers").items()}


@cache
def _load(name: str) -> dict[str, Any]:
    return tomllib.loads(_DATA.joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def _reason(name: str, entry: Mapping[str, Any]) -> Reason:
    return Reason(
        name=name,
        title=entry["title"],
        meaning=entry["meaning"],
        party=Party(entry["party"]),
        address_dead=entry["address_dead"],
        retry=Retry(entry["retry"]),
        retry_advice=entry["retry_advice"],
        actions=tuple(entry["actions"]),
        admin_actions=tuple(entry.get("admin_actions", ())),
        hopeless=entry.get("hopeless", False),
        meaning_with_obstacle=entry.get("meaning_with_obstacle", ""),
        delayed=entry.get("delayed", {}),
    )


def _rules(names: Sequence[str]) -> Rules:
    return Rules([_rule(entry) for name in names for entry in _load(f"rules/{name}")["rule"]])


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        name=entry["id"],
        reason=entry["reason"],
        expression=entry["pattern"],
        words=tuple(entry.get("words", ())),
        provider=entry.get("provider", ""),
        needs_host=entry.get("host", False),
        meaning=entry.get("meaning", ""),
        sample=entry["sample"],
    )
