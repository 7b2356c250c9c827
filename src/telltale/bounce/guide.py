"""The engine's knowledge in the order in which a person reads it: reasons, and the codes that mean them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from telltale.bounce import knowledge
from telltale.bounce.knowledge import Reason

_NO_FAILURE = {"delivered", "relayed"}
_CLASS = re.compile(r"\b[245](?=\.\d{1,3}\.\d{1,3}\b)")


@dataclass(frozen=True, slots=True)
class Code:
    """A code that servers answer with: "550" (RFC 5321 section 4.2) or "X.1.1" (RFC 3463, RFC 5248)."""

    code: str
    name: str  # what its standard or its users call it


@dataclass(frozen=True, slots=True)
class Entry:
    """One reason with the codes that mean it where the words say nothing better."""

    reason: Reason
    codes: Sequence[Code]


def entries(search: str = "") -> list[Entry]:
    """The reasons that a mail can fail for, those that hold all words of `search`, in the guide's order.

    "5.1.1" and "4.1.1" find "X.1.1" too.
    """
    wanted = search.casefold().split()
    return [entry for entry, words in _all() if all(_holds(words, word) for word in wanted)]


def _holds(words: str, word: str) -> bool:
    return word in words or _CLASS.sub("x", word) in words


@cache
def _all() -> Sequence[tuple[Entry, str]]:
    """Each entry with its words, to be searched."""
    codes: dict[str, list[Code]] = defaultdict(list)
    for code, name, reason in knowledge.codes():
        codes[reason].append(Code(code, name))
    found = [
        Entry(reason, codes[name]) for name, reason in knowledge.reasons().items() if name not in _NO_FAILURE
    ]
    return [(entry, _words(entry)) for entry in found]


def _words(entry: Entry) -> str:
    reason = entry.reason
    codes = [f"{code.code} {code.name}" for code in entry.codes]
    texts = [reason.name, reason.title, reason.meaning, *reason.actions, *reason.admin_actions, *codes]
    return " ".join(texts).casefold()
