"""Which words a text must hold for a pattern to match: read from the pattern itself.

The engine tries a rule only where one of its `words` stands in the text. A test compares them with what is read
here. `python -m tests.bounce.needed_words PATTERN` prints the line for a new rule.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import sys
from collections.abc import Sequence
from typing import Any

# Words that stand in most replies would save no work.
_COMMON = """
    a access account address an and are as at be been by can com could does email error for from go has have
    host http https in information is it mail mailbox message messages more net no not of on or org please
    recipient rejected see sent server that the this to try user visit was with your you
"""
COMMON = set(_COMMON.split())
SHORTEST_PART = 3


def needed(pattern: str) -> list[str]:
    """One of these stands in any text that matches; [] where nothing can be told. "~list": a part of a word."""
    return sorted(_needed(list(parser.parse(pattern)), left=False, right=False))


def _needed(tree: Sequence[Any], *, left: bool, right: bool) -> set[str]:
    """The best such set for a sequence. `left`, `right`: whether no letter can touch it from there."""
    candidates: list[set[str]] = []
    run, run_left = "", left
    for number, (kind, value) in enumerate(tree):
        if kind is op.LITERAL:
            run += chr(value)
            continue
        apart = _keeps_apart(kind, value)
        candidates += _of_run(run, left=run_left, right=apart)
        before = not _is_letter(run[-1]) if run else run_left
        after = _begins_apart(tree[number + 1 :], right)
        found = [_needed(branch, left=before, right=after) for branch in _inner(kind, value)]
        if found and all(found):
            candidates.append(set().union(*found))
        run, run_left = "", apart
    candidates += _of_run(run, left=run_left, right=right)
    return max(candidates, key=_worth, default=set())


def _inner(kind: Any, value: Any) -> list[Sequence[Any]]:
    """The sequences of which one must match."""
    if kind is op.BRANCH:
        return [list(branch) for branch in value[1]]
    if kind is op.SUBPATTERN:
        return [list(value[3])]
    if kind is op.MAX_REPEAT and value[0] >= 1:
        return [list(value[2])]
    return []


def _of_run(run: str, *, left: bool, right: bool) -> list[set[str]]:
    """The words of a run of characters that are whole whatever stands beside it, and the longest part."""
    found = []
    for word in re.finditer(r"\w+", run):
        whole_left = word.start() > 0 or left
        whole_right = word.end() < len(run) or right
        if whole_left and whole_right:
            found.append({word[0]})
        elif len(word[0]) >= (SHORTEST_PART if word[0].isascii() else 2):
            found.append({f"~{word[0]}"})
    return found


def _keeps_apart(kind: Any, value: Any) -> bool:
    """Whether this element keeps the letters before it from touching letters after it."""
    if kind is op.AT:
        return bool(value != op.AT_NON_BOUNDARY)
    if kind is op.IN:
        return value == [(op.CATEGORY, op.CATEGORY_SPACE)] or all(
            member is op.LITERAL and not _is_letter(chr(code)) for member, code in value
        )
    return False


def _begins_apart(rest: Sequence[Any], right: bool) -> bool:
    if not rest:
        return right
    kind, value = rest[0]
    return (kind is op.LITERAL and not _is_letter(chr(value))) or _keeps_apart(kind, value)


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _worth(words: set[str]) -> float:
    """How seldom such a word stands in a text that does not match: the longer and the fewer, the better."""
    return min(_seldom(word) for word in words) - 0.3 * len(words)


def _seldom(word: str) -> float:
    if word in COMMON or re.fullmatch(r"[2345]\d\d|\d", word):
        return -3
    return len(word) / 2 if word.startswith("~") else min(len(word), 9)


if __name__ == "__main__":
    sys.stdout.write(f"words = {needed(sys.argv[1])}\n".replace("'", '"'))
