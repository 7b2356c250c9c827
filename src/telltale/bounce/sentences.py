"""What a reply speaks of, sentence by sentence, in whatever language: for the phrases that no rule knows.

data/words.toml says what each word stands for ("Empfänger", "recipient" and "收件人" for the recipient), and
data/sentences.toml what they mean together in one sentence. So a sentence is understood that nobody has written
down before, and whatever the order of its words.

Rule 1: a sentence that also speaks of the sender, of doubt or of another thing does not prove an address dead.
Rule 2: addresses, links and host names are no words: "spam@no.example" says neither "spam" nor "no".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from telltale.bounce import knowledge
from telltale.bounce.folding import folded
from telltale.bounce.patterns import pattern

MOST_WORDS = 1_000
LONGEST_PHRASE = 5  # words
LONGEST_WORD = 400  # letters; a Chinese sentence is one word
# Words, and the ends of sentences. Chinese and Japanese put no space beside "SPF" or "IP".
_ENDING = r"(?<![.!?;:,])[.!?;:,]++(?=\s|$)"
_PIECE = rf"\w+|{_ENDING}"
_PIECE_OF_ANY_SCRIPT = rf"[^\W\u2e80-\U0010ffff]+|[^\W\u0000-\u2e7f]+|{_ENDING}|[。！？；：，、]"
_FULL_STOP = r"(?<![.!?;])[.!?;]++(?=\s|$)|[。！？；]"
_ADDRESS = r"<?[^\s<>\"'()@]{1,64}@[^\s<>\"'(),;:@]{1,255}>?"
_NAME = (
    r"\bhttps?:\S+|\bwww\.\S+|\b[\w-]{1,63}(?:\.[\w-]{1,63}){2,9}"
    r"|\b[\w-]{1,63}\.(?:com|net|org|edu|gov|info|biz|example|invalid|test)\b"
)
_DOTTED = r"\w\.\w|//"
_COLONS = (":", "：", ",", "，", "、")  # the subject stays the same behind them
# "But" begins another sentence: "the user exists but has no space" is not about a user who is not there.
_ENDS = ("but", "aber", "jedoch", "mais", "pero", "però", "mas", "maar", "ale", "но", "однако", "але")
_END, _COLON = -1, -2  # instead of what a word stands for
ANY_WORD = "*"
Phrase = tuple[tuple[str, ...], int]  # its words behind the first, and what they stand for
Phrases = Mapping[str, Sequence[Phrase]]  # that begin with the same word, by the second
_NO_PHRASES: Phrases = {}
# These are not spoken of behind a colon or a comma: "Unknown error: user anna" does not say that Anna is unknown.
_STAYS_BEFORE = ("unknown", "not", "there", "invalid", "error", "other_things")


@dataclass(frozen=True, slots=True)
class Sentence:
    """What words mean together: one of each of `all_of` stands there, and nothing of `none_of`. Sets of bits."""

    name: str
    reason: str
    all_of: Sequence[int]
    none_of: int
    is_weak: bool  # says so little that a code says more

    def fits(self, spoken_of: int) -> bool:
        return not spoken_of & self.none_of and all(spoken_of & either for either in self.all_of)


def meaning_of(spoken_of: Sequence[int]) -> Sentence | None:
    """The first of data/sentences.toml that fits one of these sentences; None where none does."""
    spoken_of_at_all = _all(spoken_of)
    for sentence in _sentences():
        for either in sentence.all_of:
            if not spoken_of_at_all & either:
                break
        else:
            if any(map(sentence.fits, spoken_of)) and not _is_in_doubt(sentence, spoken_of_at_all):
                return sentence
    return None


@lru_cache(maxsize=16)  # one report asks for the same text several times
def spoken_of(text: str) -> tuple[int, ...]:
    """For each sentence of this lower-case text the things that it speaks of."""
    expression = _PIECE if text.isascii() else _PIECE_OF_ANY_SCRIPT
    tokens = pattern(expression).findall(_without_names(text))[:MOST_WORDS]
    found = []
    spoken = 0
    for number, token in enumerate(tokens):
        stands_for, phrases = _of_word(token)
        if stands_for < 0:
            found.append(spoken)
            # What stands before a colon is spoken of behind it, too: "Sender address rejected: user unknown".
            spoken = spoken & ~things(*_STAYS_BEFORE) if stands_for == _COLON else 0
            continue
        spoken |= stands_for
        if phrases:
            spoken |= _of_phrases(phrases, tokens[number + 1 : number + LONGEST_PHRASE])
    return (*found, spoken)


def spoken_of_around(text: str, match: re.Match[str]) -> int:
    """What the sentence speaks of in which this match of a lower-case text stands."""
    begin = max((end.end() for end in pattern(_FULL_STOP).finditer(text, 0, match.start())), default=0)
    end = pattern(_FULL_STOP).search(text, match.end())
    return _all(spoken_of(text[begin : end.start() if end else len(text)]))


@cache
def things(*names: str) -> int:
    """The set of these things, by their names in data/words.toml."""
    return sum(knowledge.words()["names"][name] for name in names)


def _is_in_doubt(sentence: Sentence, spoken_of: int) -> bool:
    """Whether an address would be dead for a sentence beside which another thing is spoken of."""
    if not knowledge.reasons()[sentence.reason].address_dead:
        return False
    return bool(spoken_of & sentence.none_of & things("sender", "ourselves", "login", "ip", "another_matter"))


def _without_names(text: str) -> str:
    if "@" in text:
        text = pattern(_ADDRESS).sub(" addressgiven ", text)
    return pattern(_NAME).sub(" ", text) if pattern(_DOTTED).search(text) else text


def _of_phrases(phrases: Phrases, following: Sequence[str]) -> int:
    """What those phrases stand for whose other words are the following ones."""
    if not following:
        return 0
    likely = [*phrases.get(folded(following[0]), ()), *phrases.get(ANY_WORD, ())]
    if not likely:
        return 0
    words = tuple(map(folded, following))
    return _all(stands_for for others, stands_for in likely if _begins_with(words, others))


def _begins_with(words: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether these words come first; "válid*" is any word that begins so."""
    return len(words) >= len(wanted) and all(
        word.startswith(want[:-1]) if want.endswith("*") else word == want
        for word, want in zip(words, wanted, strict=False)
    )


@lru_cache(maxsize=8192)
def _of_word(word: str) -> tuple[int, Phrases]:
    """What this word stands for, and the phrases that it begins."""
    if word in _ENDS or not word[0].isalnum():
        return (_COLON if word in _COLONS else _END), _NO_PHRASES
    if len(word) > LONGEST_WORD or word.isdecimal():
        return 0, _NO_PHRASES
    plain, tables = folded(word), knowledge.words()
    bits = tables["whole"].get(plain, 0)
    for end in _lengths_of_stems():
        bits |= tables["stems"].get(plain[:end], 0)
    if not plain.isascii():
        bits |= _all(bits for part, bits in tables["parts"].items() if part in plain)
    return bits, _phrases().get(plain, _NO_PHRASES)


def _all(sets: Iterable[int]) -> int:
    bits = 0
    for one in sets:
        bits |= one
    return bits


@cache
def _lengths_of_stems() -> Sequence[int]:
    return sorted({len(stem) for stem in knowledge.words()["stems"]})


@cache
def _phrases() -> Mapping[str, Phrases]:
    """By their first word, then by their second; under ANY_WORD where that is but the beginning of one."""
    found: dict[str, dict[str, list[Phrase]]] = {}
    for phrase, bits in knowledge.words()["phrases"].items():
        first, *others = phrase.split()
        second = ANY_WORD if others[0].endswith("*") else others[0]
        found.setdefault(first, {}).setdefault(second, []).append((tuple(others), bits))
    return found


@cache
def _sentences() -> Sequence[Sentence]:
    return tuple(Sentence(*entry) for entry in knowledge.sentences())
