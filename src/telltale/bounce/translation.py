"""The engine's own words in other languages, from locale/<language>/LC_MESSAGES/telltale.mo.

The texts are written in English: it has no catalogue, and who asks for it loads nothing more.
`python -m telltale.bounce.catalogues` makes the catalogues from the texts and their translations.

Rule: our own words are translated and nothing else. What a server said, names and links stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

from telltale.bounce.knowledge import Reason
from telltale.bounce.patterns import pattern

ENGLISH = "en"
LANGUAGES = (ENGLISH, "de", "fr", "es")
LOCALE = Path(__file__).parent / "locale"

Translate = Callable[[str], str]

_PRIMARY = r"[a-z]+"
_BLANK = r"\{(\w+)\}"
_CAPITAL_AFTER_COLON = {"de"}  # a whole sentence behind a colon begins with a capital


def translatable(text: str) -> str:
    """Marks a text in the code for the catalogues; it is translated where it is used."""
    return text


@lru_cache(maxsize=256)
def known(language: str) -> str:
    """The one of LANGUAGES that a tag ("de-AT", RFC 5646) or a POSIX locale ("de_DE.UTF-8") means; else English."""
    primary = pattern(_PRIMARY).match(language.strip().lower())
    return primary[0] if primary and primary[0] in LANGUAGES else ENGLISH


@cache
def translator(language: str) -> Translate:
    """What turns an English text of ours into this one of LANGUAGES."""
    if language == ENGLISH:
        return translatable
    import gettext  # not at the top: the command that explains one line in English does without it

    with catalogue(language, "mo").open("rb") as file:
        translations = gettext.GNUTranslations(file)
    # To gettext, the empty text is the name of the catalogue's header.
    return lambda text: translations.gettext(text) if text else ""


def catalogue(language: str, kind: str) -> Path:
    """Where the catalogue of a language is kept; `kind` is "po" for people, "mo" for programs."""
    return LOCALE / language / "LC_MESSAGES" / f"telltale.{kind}"


def of_reason(reason: Reason, language: str) -> Reason:
    """The reason as it reads in this one of LANGUAGES; what it says while it is `delayed` stays in English."""
    if language == ENGLISH:
        return reason
    translated = translator(language)
    return replace(
        reason,
        title=translated(reason.title),
        meaning=translated(reason.meaning),
        meaning_with_obstacle=translated(reason.meaning_with_obstacle),
        retry_advice=translated(reason.retry_advice),
        actions=tuple(map(translated, reason.actions)),
        admin_actions=tuple(map(translated, reason.admin_actions)),
    )


def filled(text: str, **values: str) -> str:
    """The text with its {blanks} filled in. Not str.format: braces in a value are somebody else's words."""
    whole: str = pattern(_BLANK).sub(lambda blank: values.get(blank[1], blank[0]), text)
    return whole


def as_a_clause(title: str, language: str) -> str:
    """A title behind a colon: "The mailbox is full" loses its capital, "DNS gave no answer" does not."""
    if language in _CAPITAL_AFTER_COLON or title[1:2].isupper():
        return title
    return title[:1].lower() + title[1:]
