"""Whether a machine may answer a mail, and when somebody who is away says to be back.

Rule: better no answer than one to a list, to a machine, or to somebody whose name was taken. RFC 3834.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from email.message import Message
from email.parser import BytesHeaderParser

MOST_HEADER = 64_000  # octets
MOST_TEXT = 4_000  # characters in which a date is looked for
FARTHEST = timedelta(days=400)

_MACHINES = re.compile(
    r"(?:no|do[-_.]?not|donot|dont|never)[-_.]?(?:reply|respond|answer)|nicht[-_.]?antworten|ne[-_.]?pas[-_.]?repondre"
    r"|mailer[-_.]?daemon|postmaster|bounces?|owner-.*|.*-(?:owner|request|bounces?)|majordomo|listserv"
    r"|notifications?|automailer|root|daemon",
    re.IGNORECASE,
)
_OF_LISTS = ("List-Id", "List-Post", "List-Unsubscribe", "List-Help", "Mailing-List", "Feedback-ID")
_OF_MACHINES = ("X-Auto-Response-Suppress", "X-Autoreply", "X-Autorespond", "X-Loop")


def may_be_answered(raw: bytes, *, reverse_path: str, sender: str, ours: Callable[[str], bool]) -> bool:
    """Whether a machine may answer: RFC 3834 section 2. `ours` tells whether an address is one of ours.

    `reverse_path` is "" for the null one. The mail has to be to us: who is in blind copy, or got it through a list, is
    not who was written to.
    """
    message = BytesHeaderParser().parsebytes(raw[:MOST_HEADER])
    if not reverse_path or not sender or ours(sender):
        return False
    if _is_machine(reverse_path) or _is_machine(sender):
        return False
    if any(message.get(name) for name in (*_OF_LISTS, *_OF_MACHINES)):
        return False
    if _value(message, "Auto-Submitted") not in ("", "no"):
        return False
    return _value(message, "Precedence") not in ("bulk", "junk", "list")


def _is_machine(address: str) -> bool:
    """Behind a plus or an equals sign stands whom the mail was for: "bounces+17-ana=lamp.example@…"."""
    return bool(_MACHINES.fullmatch(re.split(r"[+=]", address.rpartition("@")[0])[0]))


def _value(message: Message, name: str) -> str:
    return str(message.get(name, "")).partition(";")[0].strip().lower()


# When somebody is back

_MONTHS = {
    1: "january januar janvier enero gennaio januari janeiro jan jän januari",
    2: "february februar février fevrier febrero febbraio februari fevereiro feb",
    3: "march märz maerz mars marzo maart março mar mrz",
    4: "april avril abril aprile apr avr",
    5: "may mai mayo maggio mei maio",
    6: "june juni juin junio giugno junho jun",
    7: "july juli juillet julio luglio julho jul",
    8: "august août aout agosto augustus aug",
    9: "september septembre septiembre settembre setembro sep sept",
    10: "october oktober octobre octubre ottobre outubro oct okt",
    11: "november novembre noviembre nov",
    12: "december dezember décembre decembre diciembre dicembre dezembro dec dez",
}
_MONTH = {name: number for number, names in _MONTHS.items() for name in names.split()}
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_DATE = re.compile(
    rf"(?P<iso>20\d\d-\d\d-\d\d)\b|(?P<dots>\d{{1,2}}\.\s?\d{{1,2}}\.(?:\s?(?:20)?\d\d\b)?)"
    rf"|\b(?P<day>\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?(?: of| de)? (?P<month>{_NAMES})\b\.?"
    r"(?:,? (?:de )?(?P<year>20\d\d))?"
    rf"|\b(?P<month2>{_NAMES})\b\.? (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<year2>20\d\d))?",
    re.IGNORECASE,
)
_BACK = re.compile(
    r"\b(?:back|return(?:ing)?|in the office again|wieder (?:im Büro|da|erreichbar|für Sie)|zurück|"
    r"de retour|reviendrai|vuelvo|regreso|estaré de vuelta|di ritorno|terug)\b",
    re.IGNORECASE,
)
_UNTIL = re.compile(
    r"\b(?:until|through|till|bis(?: einschließlich| zum)?|jusqu['’]au|hasta el|fino al|tot(?: en met)?)\b",
    re.IGNORECASE,
)
_END_OF_SENTENCE = re.compile(r"[!?]|\.(?:\s|$)")
_NEAR = 60  # characters between such a word and its date


def back_on(text: str, *, today: date) -> str:
    """ "back on 7 December 2026", "away until 4 December 2026", where an out-of-office note says so plainly; or ""."""
    words = " ".join(text[:MOST_TEXT].split())
    for cue, shown in ((_BACK, "back on"), (_UNTIL, "away until")):
        for found in cue.finditer(words):
            day = _first_date(words[found.end() : found.end() + _NEAR], today)
            if day:
                return f"{shown} {day.day} {day:%B %Y}"
    return ""


def _first_date(words: str, today: date) -> date | None:
    found = _DATE.search(words)
    if found is None or _END_OF_SENTENCE.search(words[: found.start()]):
        return None
    try:
        day = _as_date(found, today)
    except ValueError:
        return None
    return day if today - timedelta(days=1) <= day <= today + FARTHEST else None


def _as_date(found: re.Match[str], today: date) -> date:
    """Without a year it is the next such day. Raises ValueError for a day that does not exist."""
    if found["iso"]:
        return date.fromisoformat(found["iso"])
    if found["dots"]:
        day, month, *year = [int(piece) for piece in re.findall(r"\d+", found["dots"])]
        return _on(day, month, year[0] if year else None, today)
    name, day = found["month"] or found["month2"], int(found["day"] or found["day2"])
    year_named = found["year"] or found["year2"]
    return _on(day, _MONTH[name.lower()], int(year_named) if year_named else None, today)


def _on(day: int, month: int, year: int | None, today: date) -> date:
    if year is not None:
        return date(year if year > 99 else 2000 + year, month, day)
    this_year = date(today.year, month, day)
    return this_year if this_year >= today - timedelta(days=1) else date(today.year + 1, month, day)
