"""Letters without their accents, so that "boîte", "BOITE" and "boite" are one word."""

from __future__ import annotations

import re
import unicodedata

# Letters that are no letter with an accent to Unicode, though people write them without.
_PLAIN = str.maketrans(
    {"ß": "ss", "ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ς": "σ", "’": "'"}
)
_ACCENT = re.compile("[\u0300-\u036f]")


def folded(text: str) -> str:
    """This text in lower case and without the accents of Latin, Greek and Cyrillic letters."""
    text = text.lower()
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text).translate(_PLAIN)
    return unicodedata.normalize("NFC", _ACCENT.sub("", apart))
