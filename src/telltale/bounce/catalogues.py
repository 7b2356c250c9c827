"""Makes the catalogues of translations: locale/telltale.pot from our texts, then for each language .po and .mo.

`python -m telltale.bounce.catalogues` writes them all. Translators edit the .po files and nothing else: a text that
is new there is empty, one that has changed is marked "fuzzy", and both are shown in English until somebody has
translated them. For a new language, add its code to `translation.LANGUAGES` and run the command.

Rule: this needs Babel and runs while the project is built or tested; the engine reads .mo with the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from telltale.bounce.compiler import DATA, OWN_RULE_FILES, RULE_FILES, load
from telltale.bounce.translation import ENGLISH, LANGUAGES, LOCALE, catalogue

TEMPLATE = LOCALE / "telltale.pot"
_PACKAGE = Path(__file__).parent.parent
_CODE = Path(__file__).with_name("explaining.py")
_TEXTS = ("title", "meaning", "meaning_with_obstacle", "retry_advice")
_LISTS = {"actions": "step for the agent", "admin_actions": "step for the admin"}
_HEADER = """\
# What a returned mail means: the words of Telltale's bounce engine.
# This file is distributed under the same licence as Telltale.
#"""
# What would change with the day or with Babel though no text does, and what the history of the project tells.
_LEFT_OUT = tuple(
    f'"{name}:'.encode()
    for name in (
        "Project-Id-Version",
        "Report-Msgid-Bugs-To",
        "POT-Creation-Date",
        "PO-Revision-Date",
        "Last-Translator",
        "Language-Team",
        "Generated-By",
    )
)
_NO_DAY = datetime(2000, 1, 1, tzinfo=UTC)  # the header of a .mo must name one


@dataclass(frozen=True, slots=True)
class Text:
    """One English text of ours. `use` tells translators where it is read: "mailbox_full: title"."""

    text: str
    use: str
    file: Path


def main() -> None:
    TEMPLATE.parent.mkdir(exist_ok=True)
    TEMPLATE.write_bytes(written(template()))
    for language in LANGUAGES:
        if language != ENGLISH:
            _bring_up_to_date(language)


def template() -> Catalog:
    """The catalogue of all texts, without translations, in the order of the error guide and of the rules."""
    catalog = _empty(None)
    for text in texts():
        place = text.file.relative_to(_PACKAGE.parent).as_posix()
        catalog.add(text.text, locations=[(place, 0)], auto_comments=[text.use])
    return catalog


def texts() -> Iterator[Text]:
    """Every text that a verdict can hold, and where it is used; what is used twice comes twice."""
    reasons = DATA / "reasons.toml"
    for name, entry in load("reasons").items():
        for text, use in (*_of_reason(entry), *_of_reason(entry.get("delayed", {}), " while it is tried")):
            yield Text(text, f"{name}: {use}", reasons)
    for _, marked, *_ in extract_from_file("python", _CODE, keywords={"translatable": None}):
        yield Text(str(marked), "a sentence, or a part of one", _CODE)
    for name in (*RULE_FILES, *OWN_RULE_FILES):
        for rule in load(f"rules/{name}")["rule"]:
            if "meaning" in rule:
                yield Text(rule["meaning"], f"{rule['id']}: meaning", DATA / "rules" / f"{name}.toml")


def translations(language: str) -> Catalog:
    """What the translators of this language have written; nothing where they have not begun."""
    file = catalogue(language, "po")
    return read_po(BytesIO(file.read_bytes()), locale=language) if file.exists() else _empty(language)


def written(catalog: Catalog) -> bytes:
    """The text of a .pot or .po file: the same octets whenever the texts are the same."""
    file = BytesIO()
    write_po(file, catalog, width=100, ignore_obsolete=True, include_lineno=False, include_previous=True)
    return b"".join(line for line in file.getvalue().splitlines(True) if not line.startswith(_LEFT_OUT))


def compiled(catalog: Catalog) -> bytes:
    """The .mo file; it leaves out what is empty or fuzzy."""
    catalog.creation_date = catalog.revision_date = _NO_DAY
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def _bring_up_to_date(language: str) -> None:
    catalog = translations(language)
    catalog.update(template())
    catalogue(language, "po").parent.mkdir(parents=True, exist_ok=True)
    catalogue(language, "po").write_bytes(written(catalog))
    catalogue(language, "mo").write_bytes(compiled(catalog))


def _empty(language: str | None) -> Catalog:
    return Catalog(locale=language, project="Telltale", header_comment=_HEADER, fuzzy=False)


def _of_reason(entry: Mapping[str, Any], when: str = "") -> Iterator[tuple[str, str]]:
    for name in _TEXTS:
        if name in entry:
            yield entry[name], name.replace("_", " ") + when
    for name, use in _LISTS.items():
        for text in entry.get(name, ()):
            yield text, use + when


if __name__ == "__main__":
    main()
