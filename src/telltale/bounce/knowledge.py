"""What the engine knows, read from data/compiled.json when it is first asked: reasons, rules, codes, providers.

Rule 1: knowledge is data. A new phrase is a new rule in a file of data/, with a sample that a test runs.
Rule 2: nothing is read or compiled before it is needed; a rule's pattern only once its words were seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache, reduce
from operator import or_
from pathlib import Path
from typing import Any

from telltale.bounce.patterns import pattern
from telltale.bounce.verdict import Party, Retry
from telltale.mail.report import Stage
from telltale.mail.status import EnhancedStatus

_COMPILED = Path(__file__).parent / "data" / "compiled.json"  # telltale.bounce.compiler makes it
_WORD = re.compile(r"\w+")
LETTERS_OF_PARTS = 2  # letters; the shortest part of a word that a rule asks for is two Chinese ones


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


@dataclass(frozen=True, eq=False)
class Rule:
    """One phrase and what it means."""

    name: str
    reason: str
    expression: str
    provider: str = ""
    needs_host: bool = False  # the words are too common: they count from this provider's hosts only
    meaning: str = ""  # where it tells more than the reason's own

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.expression)


@dataclass(frozen=True, slots=True)
class BlockList:
    """A list of senders that receiving servers ask."""

    name: str
    delisting: str  # the page where its owner takes an entry off; "" where there is none


class Rules:
    """An ordered list of rules that tries only those whose words are in the text.

    Each way through a pattern is a column of bits. A word of the text sets the bits of the ways that ask for it,
    in the row of the first, second or third set that it is in; where all three rows are set, the text may match.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._entries: Sequence[Sequence[Any]] = table["rules"]
        self._rule_of_way: Sequence[int] = table["rule_of_way"]
        self._asking: Mapping[str, Sequence[int]] = table["asking"]
        self._parts: Mapping[str, Sequence[str]] = table["parts"]
        self._not_asked_for = int(table["not_asked_for"], 16)
        self._rule = cache(self._made)
        self._bits_of = lru_cache(maxsize=8192)(self._bits_set_by)

    def __iter__(self) -> Iterator[Rule]:
        return map(self._rule, range(len(self._entries)))

    def matches(self, text: str, *, provider: str) -> Iterator[tuple[Rule, re.Match[str]]]:
        """The rules that match this lower-case text, in order; those of the provider itself come first."""
        for rule in self._likely(text, provider):
            if (rule.provider == provider or not rule.needs_host) and (found := rule.pattern.search(text)):
                yield rule, found

    def _likely(self, text: str, provider: str) -> Sequence[Rule]:
        asked_for = filter(None, map(self._bits_of, _WORD.findall(text)))
        bits = reduce(or_, asked_for, self._not_asked_for)
        width = len(self._rule_of_way)
        ways = bits & (bits >> width) & (bits >> 2 * width)
        found: dict[Rule, None] = {}
        while ways:
            lowest = ways & -ways
            found[self._rule(self._rule_of_way[lowest.bit_length() - 1])] = None
            ways ^= lowest
        return sorted(found, key=lambda rule: rule.provider != provider) if provider else list(found)

    def _bits_set_by(self, word: str) -> int:
        places = set(self._asking.get(word, ()))
        for start in range(len(word) - 1):
            for part in self._parts.get(word[start : start + LETTERS_OF_PARTS], ()):
                if word.startswith(part[1:], start):
                    places.update(self._asking[part])
        return sum(1 << place for place in places)

    def _made(self, number: int) -> Rule:
        return Rule(*self._entries[number])


@cache
def reasons() -> Mapping[str, Reason]:
    return {name: _reason(name, entry) for name, entry in _compiled()["reasons"].items()}


@cache
def rules() -> Rules:
    """The rules for what others say."""
    return Rules(_compiled()["rules"])


@cache
def own_rules() -> Rules:
    """The rules for what our own SMTP client says."""
    return Rules(_compiled()["own_rules"])


def sentences() -> Sequence[Sequence[Any]]:
    """What the words of one sentence mean together: the fields of `sentences.Sentence`, in order."""
    entries: Sequence[Sequence[Any]] = _compiled()["sentences"]
    return entries


def words() -> Mapping[str, Mapping[str, int]]:
    """What each word stands for, as bits: "names" of the bits, "whole" words, "stems", "parts", "phrases"."""
    tables: Mapping[str, Mapping[str, int]] = _compiled()["words"]
    return tables


def reason_of_status(status: EnhancedStatus, *, provider: str) -> str:
    """What an enhanced status code means, above all at this provider; "" for a code that nobody registered."""
    entry = _compiled()["enhanced"].get(status.kind, {})
    at_provider: str = entry.get("at", {}).get(provider, {}).get(str(status), "")
    by_class: str = entry.get("by_class", {}).get(str(status.class_), "")
    return at_provider or by_class or str(entry.get("reason", ""))


def reason_of_code(code: int, *, stage: Stage | None) -> str:
    """What a basic reply code means at this step of the session; "" for an unknown one."""
    entry = _compiled()["basic"].get(str(code), {})
    at_stage: str = entry.get("at_stage", {}).get(stage.value if stage else "", "")
    return at_stage or str(entry.get("reason", ""))


def reason_of_event(event: str) -> str:
    """What an e-mail service means by a class of its own; "" where that names no reason.

    "sparkpost; 10", or with a subclass, which need not be known: "sendgrid; blocked; Reputation".
    """
    service, _, class_ = event.partition("; ")
    classes = _compiled()["services"].get(service, {})
    return str(classes.get(class_) or classes.get(class_.partition("; ")[0], ""))


def name_of(status: EnhancedStatus | None, code: int | None) -> str:
    """What the registry calls the enhanced code; else what the basic one is called; "" where neither is known."""
    enhanced = _compiled()["enhanced"].get(status.kind, {}) if status else {}
    basic = _compiled()["basic"].get(str(code), {})
    return str(enhanced.get("name") or basic.get("name") or "")


def codes() -> Iterator[tuple[str, str, str]]:
    """Each basic code, then each enhanced one ("X.1.1"; with its class where that matters): code, name, reason."""
    for code, entry in _compiled()["basic"].items():
        yield code, entry["name"], entry["reason"]
    for code, entry in _compiled()["enhanced"].items():
        yield code, entry["name"], entry["reason"]
        for class_, reason in entry.get("by_class", {}).items():
            yield class_ + code.removeprefix("X"), entry["name"], reason


@lru_cache(maxsize=1024)
def provider_of(host: str) -> str:
    """Who runs this host, by the names of data/providers.toml; "" where that is not known."""
    host = host.strip().rstrip(".").lower()
    if not host:
        return ""
    providers = _compiled()["providers"].items()
    return next((name for name, entry in providers if pattern(entry["host"]).search(host)), "")


def has_hosts(provider: str) -> bool:
    """Whether this is a provider whose hosts are known: not a program that many run, such as Postfix."""
    return provider in _compiled()["providers"]


def reason_of_unknown_after_data(provider: str) -> str:
    """What a provider means that calls the user unknown only behind the message; "" where it means just that."""
    return str(_compiled()["providers"].get(provider, {}).get("unknown_after_data", ""))


def provider_title(provider: str) -> str:
    """What people call this provider: "Google"."""
    return str(_compiled()["providers"][provider]["name"])


def block_lists_in(text: str) -> Sequence[BlockList]:
    """The known block lists that a lower-case text names, in the order of data/block_lists.toml."""
    entries = _compiled()["block_lists"]
    named = (entries[rule.name] for rule, _ in _block_lists().matches(text, provider=""))
    return [BlockList(entry["name"], entry.get("delisting", "")) for entry in named]


@cache
def _block_lists() -> Rules:
    return Rules(_compiled()["rules_of_block_lists"])


@cache
def _compiled() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(_COMPILED.read_bytes())
    return tables


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
