"""Did you mean gmail.com? Misspelt domains of well-known mail providers."""

from __future__ import annotations

from collections.abc import Iterable

_WELL_KNOWN = """
    gmail.com googlemail.com outlook.com outlook.de outlook.fr outlook.es hotmail.com hotmail.co.uk hotmail.de
    hotmail.fr hotmail.es hotmail.it live.com live.co.uk live.fr live.de msn.com yahoo.com yahoo.co.uk yahoo.de
    yahoo.fr yahoo.es yahoo.it yahoo.co.jp yahoo.com.br ymail.com rocketmail.com aol.com icloud.com me.com mac.com
    gmx.de gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de posteo.de mailbox.org orange.fr wanadoo.fr
    free.fr laposte.net sfr.fr libero.it virgilio.it tiscali.it telefonica.net proton.me protonmail.com
    fastmail.com zoho.com yandex.ru yandex.com mail.ru mail.com email.com comcast.net verizon.net att.net
    btinternet.com sky.com virginmedia.com bigpond.com bluewin.ch uol.com.br terra.com.br qq.com 163.com 126.com
    naver.com
"""
WELL_KNOWN = frozenset(_WELL_KNOWN.split())
_SHORT = 4  # letters; "me" and "live" have too many honest neighbours
_LONG = 9  # letters; from here on two slips are still one word
_SLIPS_OF_COM = {"con", "cmo", "cm", "om", "co", "comm"}


def suggest_domain(address: str, also: Iterable[str] = ()) -> str:
    """The address with its domain put right; "" where it is right already, or nothing is near.

    `also` are further domains that are known to take mail.
    """
    local_part, _, domain = address.rpartition("@")
    domain = domain.lower().rstrip(".")
    known = WELL_KNOWN.union(name.lower() for name in also)
    if not local_part or not domain or domain in known:
        return ""
    near = _with_com(domain, known) or _nearest(domain, known)
    return f"{local_part}@{near}" if near else ""


def _with_com(domain: str, known: frozenset[str]) -> str:
    """gmail.con: the name is right and its end is a slip. gmail.de may be somebody's own."""
    name, _, end = domain.partition(".")
    return f"{name}.com" if end in _SLIPS_OF_COM and f"{name}.com" in known else ""


def _nearest(domain: str, known: frozenset[str]) -> str:
    """gmial.com: the end is right and the name is a slip. hotmail.be is no slip of hotmail.de."""
    name, _, end = domain.partition(".")
    near = []
    for candidate in known:
        right, _, right_end = candidate.partition(".")
        if end != right_end or len(right) <= _SHORT:
            continue
        distance = _distance(name, right)
        if distance <= (2 if len(right) >= _LONG else 1):
            near.append((distance, candidate))
    return min(near, default=(0, ""))[1]


def _distance(one: str, other: str) -> int:
    """How many letters to insert, drop, change or swap with their neighbour: Damerau-Levenshtein, restricted."""
    if abs(len(one) - len(other)) > 2:
        return 3
    before: list[int] = []
    previous: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, previous, row = previous, row, [i]
        for j, wanted in enumerate(other, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                row[j] = min(row[j], before[j - 2] + 1)
    return row[-1]
