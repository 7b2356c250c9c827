"""Did you mean gmail.com? Misspelt domains of well-known mail providers."""

from __future__ import annotations

from collections.abc import Iterable

WELL_KNOWN = frozenset(
    """
    gmail.com googlemail.com outlook.com outlook.de outlook.fr outlook.es hotmail.com hotmail.co.uk hotmail.de
    hotmail.fr hotmail.es hotmail.it live.com live.co.uk live.fr live.de msn.com yahoo.com yahoo.co.uk yahoo.de
    yahoo.fr yahoo.es yahoo.it yahoo.co.jp yahoo.com.br ymail.com rocketmail.com aol.com icloud.com me.com mac.com
    gmx.de gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de posteo.de mailbox.org orange.fr wanadoo.fr
    free.fr laposte.net sfr.fr libero.it virgilio.it tiscali.it telefonica.net proton.me protonmail.com
    fastmail.com zoho.com yandex.ru yandex.com mail.ru mail.com email.com comcast.net verizon.net att.net
    btinternet.com sky.com virginmedia.com bigpond.com bluewin.ch uol.com.br terra.com.br qq.com 163.com 126.com
    naver.com
    """.split()
)
_LONG = 9  # letters; from here on two slips are still one word


def suggest_domain(address: str, also: Iterable[str] = ()) -> str:
    """The address with its domain put right; "" where it is right already, or nothing is near.

    `also` are further domains that are known to take mail.
    """
    local_part, _, domain = address.rpartition("@")
    domain = domain.lower()
    known = WELL_KNOWN.union(also)
    if not local_part or domain in known:
        return ""
    near = min(known, key=lambda candidate: (_distance(domain, candidate), candidate))
    most = 2 if len(near.partition(".")[0]) >= _LONG else 1
    return f"{local_part}@{near}" if _distance(domain, near) <= most else ""


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
