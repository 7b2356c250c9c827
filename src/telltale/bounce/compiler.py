"""Makes the one file that the engine reads, data/compiled.json, from what people write: data/**/*.toml.

`python -m telltale.bounce.compiler` writes it; a test fails where it is older than the rules. Parsing the TOML
takes longer than a command that explains one line should, and which words a pattern needs is worked out once.
Where an English text for people has changed, `python -m telltale.bounce.catalogues` is next.

Rule: everything here runs while the project is built or tested, and never to explain a reply.
"""

from __future__ import annotations

import json
import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from telltale.bounce.folding import folded
from telltale.bounce.knowledge import LETTERS_OF_PARTS

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
TABLES = ("reasons", "enhanced", "basic", "providers", "block_lists", "services")
DATA = Path(__file__).parent / "data"
COMPILED = DATA / "compiled.json"
_WORD = r"\w+"
# These are written without spaces, or with short words glued on: a term may stand anywhere in a word.
_UNSPACED = {"ja", "zh", "ko", "th", "he", "ar"}

SHORTEST_PART = 3  # letters
MOST_SETS = 3  # of needed words for one way through a pattern: a row of bits each in knowledge.Rules
_TOO_COMMON = 0.3  # of the samples; to look for such a word saves no work


def main() -> None:
    COMPILED.write_text(compiled(), encoding="utf-8")


def compiled() -> str:
    """The text of data/compiled.json, from the files as they are now; one entry a line, so that a diff is read."""
    parts: dict[str, Any] = {name: load(name) for name in TABLES}
    lists = [{"id": name, "reason": "", **entry} for name, entry in parts["block_lists"].items()]
    parts["rules"] = _rules(list(rule_entries(RULE_FILES)))
    parts["own_rules"] = _rules(list(rule_entries(OWN_RULE_FILES)))
    parts["rules_of_block_lists"] = _rules(lists)
    parts["words"] = _words(load("words"))
    parts["sentences"] = [_sentence(entry, list(load("words"))) for entry in load("sentences")["sentence"]]
    sections = (f"{json.dumps(name)}: {_section(part)}" for name, part in parts.items())
    return "{\n" + ",\n".join(sections) + "\n}\n"


def load(name: str) -> dict[str, Any]:
    return tomllib.loads(DATA.joinpath(f"{name}.toml").read_text(encoding="utf-8"))


def rule_entries(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rules as they are written, with their samples and sources, in the order in which they are tried."""
    for name in names:
        yield from load(f"rules/{name}")["rule"]


def ways(pattern: str) -> list[list[list[str]]]:
    """The ways in which a text can match: for each, sets of words of which it must hold one from every set.

    "~list" is a part of a word. A way without any set tells nothing: the pattern must be tried on every text.
    """
    return [_sets(tree) for tree in _spread(list(parser.parse(pattern)))]


def _section(part: Any) -> str:
    if isinstance(part, list):
        return "[\n" + ",\n".join(_line(entry) for entry in part) + "\n]"
    if "rules" in part:
        return "{\n" + ",\n".join(f"{_line(key)}: {_section(entry)}" for key, entry in part.items()) + "\n}"
    if isinstance(part, dict):
        return "{\n" + ",\n".join(f"{_line(key)}: {_line(entry)}" for key, entry in part.items()) + "\n}"
    return _line(part)


def _line(entry: Any) -> str:
    return json.dumps(entry, ensure_ascii=False)


def _rules(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The rules, and by the words of their ways the bits that `knowledge.Rules` sets.

    asking         the bits of each word or part of a word: row times the number of ways, plus the way
    parts          the parts of words by their first letters
    not_asked_for  the bits of the rows that a way does not use, as a hexadecimal number
    """
    found = [(number, way) for number, entry in enumerate(entries) for way in ways(entry["pattern"])]
    asking: dict[str, list[int]] = defaultdict(list)
    not_asked_for = 0
    for column, (_, way) in enumerate(found):
        for row in range(MOST_SETS):
            place = row * len(found) + column
            for word in way[row] if row < len(way) else ():
                asking[word].append(place)
            not_asked_for |= (row >= len(way)) << place
    return {
        "rules": [_rule(entry) for entry in entries],
        "rule_of_way": [number for number, _ in found],
        "asking": asking,
        "parts": _by_first_letters([word for word in asking if word.startswith("~")]),
        "not_asked_for": f"{not_asked_for:x}",
    }


def _rule(entry: Mapping[str, Any]) -> list[Any]:
    """In the order of the fields of `knowledge.Rule`."""
    return [
        entry["id"],
        entry["reason"],
        entry["pattern"],
        entry.get("provider", ""),
        entry.get("host", False),
        entry.get("meaning", ""),
    ]


def _by_first_letters(parts: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in parts:
        found[part[1 : 1 + LETTERS_OF_PARTS]].append(part)
    return found


# ── Words and sentences ──────────────────────────────────────────────────────────────────────────────────


def _words(concepts: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """What each word stands for: bit n is the n-th concept of words.toml."""
    tables: dict[str, dict[str, int]] = {"names": {}, "whole": {}, "stems": {}, "parts": {}, "phrases": {}}
    for number, (concept, languages) in enumerate(concepts.items()):
        tables["names"][concept] = 1 << number
        for language, words in languages.items():
            for word in words.split(","):
                table, key = _filed(folded(word.strip()), language)
                tables[table][key] = tables[table].get(key, 0) | 1 << number
    return tables


def _filed(word: str, language: str) -> tuple[str, str]:
    if language in _UNSPACED:
        return "parts", word.replace(" ", "")
    if word.endswith("*") and " " not in word:
        return "stems", word[:-1]
    # "sender's" is two words of the text.
    word = " ".join(re.findall(r"\w+\*?", word))
    return ("phrases" if " " in word else "whole"), word


def _sentence(entry: Mapping[str, Any], concepts: Sequence[str]) -> list[Any]:
    """In the order of the fields of `sentences.Sentence`."""
    masks = [_mask(either.split("|"), concepts) for either in entry["all"]]
    return [
        entry["name"],
        entry["reason"],
        masks,
        _mask(entry.get("none", ()), concepts),
        entry.get("weak", False),
    ]


def _mask(names: Sequence[str], concepts: Sequence[str]) -> int:
    return sum(1 << concepts.index(name) for name in names)


# ── The words that a pattern needs ───────────────────────────────────────────────────────────────────────


def _spread(tree: list[Any]) -> list[list[Any]]:
    """One sequence for each branch of the first alternation: "a(b|c)" is "ab" and "ac"."""
    for number, (kind, value) in enumerate(tree):
        if kind is op.BRANCH:
            return [[*tree[:number], *branch, *tree[number + 1 :]] for branch in value[1]]
    return [tree]


def _sets(tree: Sequence[Any]) -> list[list[str]]:
    """The best sets of one way, best first; a set of common words only where there is no better."""
    too_common = _TOO_COMMON * len(_words_of_samples())
    found: list[set[str]] = []
    for words in sorted(_candidates(tree, left=False, right=False), key=_rank):
        if not found or (_frequency(words) < too_common and not any(words & other for other in found)):
            found.append(words)
    return [sorted(words) for words in found[:MOST_SETS]]


def _needed(tree: Sequence[Any], *, left: bool, right: bool) -> set[str]:
    return min(_candidates(tree, left=left, right=right), key=_rank, default=set())


def _candidates(tree: Sequence[Any], *, left: bool, right: bool) -> list[set[str]]:
    """Sets of which a sequence needs one word each. `left`, `right`: whether no letter can touch it from there."""
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
    return candidates + _of_run(run, left=run_left, right=right)


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


def _rank(words: set[str]) -> tuple[int, int, list[str]]:
    """The seldomer such a word stands in a reply, and the fewer they are, the better."""
    return _frequency(words), len(words), sorted(words)


def _frequency(words: set[str]) -> int:
    """In how many of the samples, at most, one of these words stands."""
    return sum(map(_frequency_of, words))


@cache
def _frequency_of(word: str) -> int:
    wanted = word[1:] if word.startswith("~") else f" {word} "
    return sum(wanted in sample for sample in _words_of_samples())


@cache
def _words_of_samples() -> Sequence[str]:
    texts = (str(entry["sample"]).lower() for entry in rule_entries(RULE_FILES))
    return [f" {' '.join(re.findall(_WORD, text))} " for text in texts]


if __name__ == "__main__":
    main()
