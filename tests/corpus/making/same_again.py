"""Takes out of a mail what is new in each run: dates, queue ids, boundaries. The same for the same, throughout.

What replaces it follows from the case and from the place in the mail alone, so a second run of the same server
writes the same mails. Where it tries two things at once, their order is still chance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

SENT = "Mon, 2 Nov 2026 10:00:00 +0000"  # by the desk: see cases.py
NOW = "Mon, 2 Nov 2026 12:00:00 +0000"
LATER = "Sat, 7 Nov 2026 12:00:00 +0000"
_DATE = (
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), +\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4}"
    r" \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT|UTC)"
)
_ANY_DATE = re.compile(rf"(Will-Retry-Until: )?({_DATE})")
_KINDS = ("0123456789", "ABCDEF", "GHIJKLMNOPQRSTUVWXYZ", "abcdef", "ghijklmnopqrstuvwxyz")


def same_again(mail: bytes, changing: Mapping[str, str], *, seed: str) -> bytes:
    """The mail with all that a second run would change replaced. `seed` keeps the ids of two cases apart."""
    text = mail.decode("latin-1")
    for pattern, shape in changing.items():
        for place, old in enumerate(dict.fromkeys(re.findall(pattern, text))):
            new = _like(shape, f"{seed}/{pattern}/{place}")
            text = re.sub(rf"(?<!\d){re.escape(old)}(?!\d)", new, text)
    return _ANY_DATE.sub(_fixed_date, text).encode("latin-1")


def _like(shape: str, seed: str) -> str:
    """Letters and digits of the kinds that `shape` has in the same places."""
    numbers = hashlib.sha512(seed.encode()).digest()
    return "".join(_letter_like(letter, numbers[place % len(numbers)]) for place, letter in enumerate(shape))


def _letter_like(letter: str, number: int) -> str:
    kind = next((kind for kind in _KINDS if letter in kind), letter)
    return kind[number % len(kind)]


def _fixed_date(found: re.Match[str]) -> str:
    """One date for all that happens in a run: whether two fall into one second is chance."""
    if found[1]:
        return found[1] + LATER
    return SENT if found[2] == SENT else NOW
