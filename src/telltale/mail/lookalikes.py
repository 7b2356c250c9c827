"""Addresses that look like another one: letters of several scripts in one name, or letters that copy Latin ones.

"аna@oldworks.example" begins with a Cyrillic letter. Such a domain is also shown as DNS has it (RFC 5891, A-labels).
"""

from __future__ import annotations

import unicodedata

# Scripts whose letters are mistaken for Latin ones, or stand among them to that end.
_ALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "FULLWIDTH")
_SCRIPTS = (*_ALIKE, "LATIN", "ARABIC", "HEBREW", "THAI", "DEVANAGARI", "GEORGIAN", "HANGUL")
_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO")  # written together, and with Latin


def warning(address: str) -> str:
    """What a reader should know of this address; "" where there is nothing."""
    if address.isascii():
        return ""
    local_part, _, domain = address.rpartition("@")
    in_ascii = _a_labels(domain)
    mixed = any(_is_mixed(label) for label in (local_part, *domain.split(".")))
    copies = any(_is_all_alike(label) for label in domain.split("."))
    if not mixed and not copies:
        return ""
    shown = f" In DNS its domain is {in_ascii}." if in_ascii != domain else ""
    return f"This address has letters that look like others.{shown}"


def _scripts(text: str) -> set[str]:
    found = set()
    for letter in filter(str.isalpha, text):
        name = unicodedata.name(letter, "")
        script = next((one for one in _SCRIPTS if name.startswith(one)), "")
        found.add(script or ("EAST ASIAN" if name.startswith(_EAST_ASIAN) else name.partition(" ")[0]))
    return found


def _is_mixed(label: str) -> bool:
    scripts = _scripts(label)
    return len(scripts) > 1 and scripts != {"EAST ASIAN", "LATIN"}


def _is_all_alike(label: str) -> bool:
    """Written in such a script alone, under a top-level domain in Latin, as a whole copy of a Latin name would be."""
    scripts = _scripts(label)
    return (
        bool(scripts)
        and scripts <= set(_ALIKE)
        and all(letter in _COPIES for letter in label if letter.isalpha())
    )


# Small letters that are drawn like Latin ones.
_COPIES = set("асеіјорѕхуԁһӏԛԝгпԍονραυικτωγօոսցհյ")


def _a_labels(domain: str) -> str:
    import idna

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return domain.encode("punycode").decode()
