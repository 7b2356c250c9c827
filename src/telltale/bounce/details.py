"""What a reply tells beside the reason: block lists, links, a size limit, a new address.

Rule 1: what is not said is "" or None; nothing is guessed.
Rule 2: these words are a stranger's. Their number and length are bounded, and a link is http or https alone.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from telltale.bounce.patterns import pattern

MOST_LINKS = 5
LONGEST_LINK = 500  # characters
LONGEST_ADDRESS = 254  # octets, RFC 5321 section 4.5.3.1.3 less the angle brackets
LARGEST_LIMIT = 1 << 40  # octets; what is larger is no limit of a mail server

_LINK = r"(?i)\bhttps?://[^\s<>\"'`\\^{}|\[\]]{4,2000}"
_HOST = r"(?i)(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{1,62}"
_NUMBER = r"(\d{1,3}(?:[,. ]\d{3})+|\d{1,13}(?:[.,]\d{1,3})?)"
_UNIT = r"([kmgкмг]i?(?:[bo]\b|б\b|bytes?|octets?)?|bytes?|octets?|b\b)?"
_AMOUNT = rf"{_NUMBER} ?{_UNIT}"
_SIZE_LIMITS = tuple(
    expression.replace("AMOUNT", _AMOUNT)
    for expression in (
        # "size 5000 exceeds size limit 1000": what comes after "exceeds" is the limit.
        r"exceed\w* [^\d;]{0,60}?AMOUNT",
        r"(?:limit|maximum|max|allowed|maximal|maximale|máximo|limite|límite|лимит)\b[^\d;]{0,40}?AMOUNT",
        r"\b(?:larger|bigger|greater|more) than [^\d;]{0,30}?AMOUNT",
        r"AMOUNT\D{0,12}\b(?:limit|maximum|max)\b",
    )
)
_UNITS = {"k": 1 << 10, "к": 1 << 10, "m": 1 << 20, "м": 1 << 20, "g": 1 << 30, "г": 1 << 30}
_SMALLEST_LIMIT = 1 << 10  # octets; a smaller number is a code or a count
_ADDRESS = r"[\w.!#$%&*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}"


def links(text: str) -> tuple[str, ...]:
    """The web pages that a text points to, at most five, each once."""
    if "://" not in text:
        return ()
    found: dict[str, None] = {}
    for match in pattern(_LINK).finditer(text):
        link = match[0].rstrip(".,;:!?)*")
        if len(link) <= LONGEST_LINK and _is_harmless(link):
            found[link] = None
    return tuple(found)[:MOST_LINKS]


def size_limit(text: str) -> int | None:
    """The largest mail that a lower-case text allows, in octets; None where it names no size."""
    for expression in _SIZE_LIMITS:
        for number, unit in pattern(expression).findall(text):
            octets = _octets(number, unit)
            if _SMALLEST_LIMIT <= octets <= LARGEST_LIMIT:
                return octets
    return None


def new_address(text: str, *, old: str) -> str:
    """The address that a text names beside the old one, where it names exactly one; else ""."""
    named = {address.rstrip(".").lower(): address.rstrip(".") for address in pattern(_ADDRESS).findall(text)}
    named.pop(old.lower(), None)
    new = list(named.values())
    return new[0] if len(new) == 1 and len(new[0].encode()) <= LONGEST_ADDRESS else ""


def _is_harmless(link: str) -> bool:
    """A link with a plain host name and without the user names that make another host look like this one."""
    try:
        parts = urlsplit(link)
        host = parts.hostname or ""
    except ValueError:
        return False
    return "@" not in parts.netloc and bool(pattern(_HOST).fullmatch(host)) and link.isprintable()


def _octets(number: str, unit: str) -> int:
    """ "10,485,760" is a whole number, "1.5 MB" is not."""
    if unit[:1] in _UNITS:
        return (
            int(float(number.replace(",", ".").replace(" ", "")) * _UNITS[unit[0]])
            if number.count(".") < 2
            else 0
        )
    return int(re.sub(r"\D", "", number)) if not re.search(r"[.,]\d{1,2}$", number) else 0
