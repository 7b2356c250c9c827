"""The engine's words in other languages: complete, current, true to the English, and in nobody's way."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

import pytest
from babel.messages.catalog import Message

from telltale.bounce import Verdict, catalogues, compiler, explain, knowledge, translation
from telltale.bounce.compiler import OWN_RULE_FILES, RULE_FILES
from telltale.bounce.translation import ENGLISH, LANGUAGES
from telltale.mail.report import NO_DIAGNOSTIC, Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus

OTHERS = [language for language in LANGUAGES if language != ENGLISH]
MESSAGES = {
    language: [message for message in catalogues.translations(language) if message.id] for language in OTHERS
}
RULES = [(rule, "smtp") for rule in compiler.rule_entries(RULE_FILES)] + [
    (rule, "x-local") for rule in compiler.rule_entries(OWN_RULE_FILES)
]
HOSTS = {name: entry["sample"] for name, entry in compiler.load("providers").items()}
TEXTS = ("title", "meaning", "retry_advice", "actions", "admin_actions")
QUOTES = {"de": ("„", "“"), "fr": ("«\u00a0", "\u00a0»"), "es": ("«", "»")}
# Words of English that are no words of the other three.
ENGLISH_WORDS = re.compile(
    r"\b(?:the|of|and|is|are|been|be|for|by|to|with|without|not|this|that|which|who|it|its|our|their|they|we|us"
    r"|have|does|may|should|would|could|if|when|than|then|there|again|mailbox|address|sender|recipient)\b",
    re.IGNORECASE,
)


def told(
    text: str = "",
    *,
    language: str = ENGLISH,
    action: Action = Action.FAILED,
    kind: str = "smtp",
    to: str = "ana@lamp.example",
    host: str = "",
    status: str = "",
    stage: Stage | None = None,
) -> Verdict:
    report = RecipientReport(
        to,
        action,
        status=EnhancedStatus.parse(status),
        diagnostic_code=Diagnostic(kind, text) if text else NO_DIAGNOSTIC,
        remote_mta=host,
        stage=stage,
    )
    return explain(report, language=language)


def texts_of(verdict: Verdict) -> Iterator[str]:
    yield from (verdict.title, verdict.meaning, verdict.retry_advice)
    yield from (*verdict.actions, *verdict.admin_actions)


def facts_of(verdict: Verdict) -> dict[str, Any]:
    return {field.name: getattr(verdict, field.name) for field in fields(Verdict) if field.name not in TEXTS}


# ── What callers get ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("language", "title", "action"),
    [
        ("en", "The mailbox is full", "Tell the recipient in another way that the mailbox is full."),
        ("de", "Das Postfach ist voll", "Dem Empfänger auf anderem Weg sagen, dass das Postfach voll ist."),
        (
            "fr",
            "La boîte aux lettres est pleine",
            "Prévenez le destinataire par un autre moyen que la boîte aux lettres est pleine.",
        ),
        ("es", "El buzón está lleno", "Avise al destinatario por otra vía de que el buzón está lleno."),
    ],
)
def test_a_verdict_speaks_the_language_of_the_reader(language: str, title: str, action: str):
    verdict = told("552 5.2.2 mailbox full", language=language)

    assert (verdict.title, verdict.actions) == (title, (action,))


@pytest.mark.parametrize(
    ("language", "meant"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("de_DE.UTF-8", "de"),
        ("fr_CA", "fr"),
        ("es-419", "es"),
        ("es@latin", "es"),
        (" fr ", "fr"),
        ("en-GB", "en"),
        ("C.UTF-8", "en"),
        ("pt-BR", "en"),
        ("den", "en"),  # Slavey is not German
        ("", "en"),
        ("../de", "en"),
        ("日本語", "en"),
        ("\0", "en"),
    ],
)
def test_a_language_is_known_by_its_tag_or_locale(language: str, meant: str):
    full = "552 5.2.2 mailbox full"

    assert translation.known(language) == meant
    assert told(full, language=language) == told(full, language=meant)


def test_english_loads_no_catalogue():
    """The command that explains one line is asked often, and starts anew each time."""
    code = """
import sys
from telltale.bounce.explaining import explain
from telltale.mail.report import Action, Diagnostic, RecipientReport
report = RecipientReport("a@lamp.example", Action.FAILED, diagnostic_code=Diagnostic("smtp", "550 5.1.1 no"))
explain(report)
print("gettext" in sys.modules)
explain(report, language="de")
print("gettext" in sys.modules)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert printed.split() == ["False", "True"]


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("action", [Action.FAILED, Action.DELAYED])
def test_each_text_of_a_verdict_is_translated_and_no_fact_is(action: Action, language: str):
    for rule, kind in RULES:
        host = HOSTS.get(rule.get("provider", ""), "")
        english = told(rule["sample"], kind=kind, action=action, host=host)
        translated = told(rule["sample"], kind=kind, action=action, host=host, language=language)

        assert len(list(texts_of(english))) == len(list(texts_of(translated)))
        assert not set(texts_of(english)) & set(texts_of(translated))
        assert facts_of(english) == facts_of(translated)


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("action", Action)
def test_a_report_without_words_is_explained_in_each_language(action: Action, language: str):
    assert not set(texts_of(told(action=action))) & set(texts_of(told(action=action, language=language)))


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("name", knowledge.reasons())
def test_a_reason_is_read_in_each_language(name: str, language: str):
    """The error guide is drawn from reasons, not from verdicts."""
    english = knowledge.reasons()[name]
    translated = translation.of_reason(english, language)

    assert translation.of_reason(english, ENGLISH) is english
    for field in ("title", "meaning", "retry_advice"):
        assert getattr(translated, field) not in ("", getattr(english, field))
    assert len(translated.actions) == len(english.actions)
    assert bool(translated.meaning_with_obstacle) == bool(english.meaning_with_obstacle)
    assert (translated.party, translated.retry, translated.hopeless) == (
        english.party,
        english.retry,
        english.hopeless,
    )


@pytest.mark.parametrize(
    ("language", "beginning"),
    [
        ("de", "Eine Mail-Domain dieses Namens gibt es nicht; die Domain lamp.example wurde nicht gefunden."),
        (
            "fr",
            "Il n’existe pas de domaine de messagerie de ce nom\u00a0: le domaine lamp.example est introuvable.",
        ),
        (
            "es",
            "No hay ningún dominio de correo con este nombre: no se pudo encontrar el dominio lamp.example.",
        ),
    ],
)
def test_the_domain_stands_in_the_sentence(language: str, beginning: str):
    assert told("550 5.1.2 bad domain", status="5.1.2", language=language).meaning.startswith(beginning)


@pytest.mark.parametrize(
    ("language", "domain"),
    [
        ("de", "die Domain des Empfängers"),
        ("fr", "le domaine du destinataire"),
        ("es", "el dominio del dest"),
    ],
)
def test_a_domain_that_is_not_known_has_words_of_its_own(language: str, domain: str):
    assert domain in told("550 5.1.2 bad domain", to="", status="5.1.2", language=language).meaning


@pytest.mark.parametrize(
    ("language", "ending"),
    [
        ("de", "Das letzte Hindernis: Das Postfach ist voll („452 4.2.2 mailbox full“)."),
        (
            "fr",
            "Dernier obstacle\u00a0: la boîte aux lettres est pleine («\u00a0452 4.2.2 mailbox full\u00a0»).",
        ),
        ("es", "El último obstáculo: el buzón está lleno («452 4.2.2 mailbox full»)."),
    ],
)
def test_the_last_obstacle_stands_in_the_sentence_beside_their_own_words(language: str, ending: str):
    expired = "554 5.4.7 [internal] message timeout (last transfail: 452 4.2.2 mailbox full)"

    assert told(expired, language=language).meaning.endswith(ending)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_a_stranger_stay_as_they_are(language: str):
    """Not even braces in them are filled in, nor is a sentence of ours translated that they quote."""
    theirs = "452 4.2.2 {domain} {title} {words} Delivered mailbox full"
    expired = f"554 5.4.7 [internal] message timeout (last transfail: {theirs})"

    assert theirs in told(expired, language=language).meaning


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_a_block_list_is_linked_in_each_language(language: str):
    verdict = told("554 5.7.1 blocked using zen.spamhaus.org", language=language)

    assert "Spamhaus" in verdict.block_lists
    assert any("Spamhaus" in step and "https://" in step for step in verdict.admin_actions)


# ── What translators write ───────────────────────────────────────────────────────────────────────────────


def test_the_template_holds_the_texts_as_they_are_now():
    """`python -m telltale.bounce.catalogues` after each change of an English text."""
    assert catalogues.TEMPLATE.read_bytes() == catalogues.written(catalogues.template())


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_the_texts_of_the_template_and_no_others(language: str):
    catalogue = catalogues.translations(language)
    catalogue.update(catalogues.template())

    assert translation.catalogue(language, "po").read_bytes() == catalogues.written(catalogue)


@pytest.mark.parametrize("language", OTHERS)
def test_the_engine_reads_what_translators_have_written(language: str):
    compiled = catalogues.compiled(catalogues.translations(language))

    assert translation.catalogue(language, "mo").read_bytes() == compiled


def test_every_language_has_its_folder_and_every_folder_its_language():
    assert {folder.name for folder in translation.LOCALE.iterdir() if folder.is_dir()} == set(OTHERS)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_is_translated(language: str):
    done = [message for message in MESSAGES[language] if message.string and not message.fuzzy]

    assert [message.id for message in MESSAGES[language] if message not in done] == []
    assert [message.id for message in done if message.string == message.id] == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_blanks_of_the_text(language: str):
    assert differing(MESSAGES[language], lambda text: sorted(re.findall(r"\{\w*\}", text))) == []


@pytest.mark.parametrize("language", OTHERS)
def test_codes_links_and_records_are_not_translated(language: str):
    """SPF, MX, RFC numbers, 5.2.1, _dmarc., “v=DMARC1; p=none”."""
    technical = re.compile(r"https?://\S+|_\w+\.<|v=\w+|p=\w+|\b[A-Z][A-Z0-9]+\b|\d+(?:\.\d+)*")

    assert differing(MESSAGES[language], lambda text: set(technical.findall(text))) == []


@pytest.mark.parametrize("language", OTHERS)
def test_names_are_not_translated(language: str):
    known = names(message.id for message in MESSAGES[language])
    lost = [
        (name, message.id)
        for message in MESSAGES[language]
        for name in known & words_of(message.id)
        if name not in message.string
    ]

    assert {"Gmail", "Spamhaus", "From"} <= known
    assert lost == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_ends_as_the_text_does(language: str):
    assert differing(MESSAGES[language], lambda text: text.endswith(".")) == []
    assert [text for text in strings(language) if text != text.strip() or "  " in text] == []


@pytest.mark.parametrize("language", OTHERS)
def test_quotes_are_those_of_the_language(language: str):
    opening, closing = QUOTES[language]
    foreign = set("\"“”„«»‹›'") - set(opening + closing)
    pair = re.compile(f"{opening}[^{opening}{closing}]+{closing}")

    assert [text for text in strings(language) if foreign & set(text)] == []
    assert [
        text for text in strings(language) if set(opening + closing) - {"\u00a0"} & set(pair.sub("", text))
    ] == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left_outside_quotes(language: str):
    opening, closing = QUOTES[language]
    quoted = re.compile(rf"{opening}[^{closing}]*{closing}|\{{\w+\}}")

    assert [text for text in strings(language) if ENGLISH_WORDS.search(quoted.sub(" ", text))] == []


def test_french_has_its_spaces_before_double_signs():
    """A fixed space before a colon, a narrow one before ; ! and ?, but none inside the value of a record."""
    texts = [text.replace("v=DMARC1;", "") for text in strings("fr")]

    assert [text for text in texts if re.search(r"[^\u00a0]:|[^\u202f][;!?]", text)] == []


def strings(language: str) -> list[str]:
    return [str(message.string) for message in MESSAGES[language]]


def differing(messages: Iterable[Message], feature: Callable[[str], object]) -> list[str]:
    """The texts whose translation has not the same of something as they have."""
    return [message.id for message in messages if feature(message.id) != feature(message.string)]


def names(texts: Iterable[str]) -> set[str]:
    """Words with a capital that begin no sentence: of firms, products and header fields."""
    beginning = re.compile(r"(?:^|[.:;(“\"] ?)[A-Z]\w*")
    found = {word for text in texts for word in words_of(beginning.sub("", text)) if word[0].isupper()}
    return found - {
        "A",
        "Group",
    }  # a record, but an article as well; a Google Group is a group in every language


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
