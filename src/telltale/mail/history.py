"""Where in a letter the new words end, and what it carries along begins: quoted history, the sender's signature.

Rule 1: only an end is taken for history. What somebody wrote below or between quotations stays with the new words.
Rule 2: where nothing new would be left, all of it is new. A mail that somebody forwards is what they want to say.
Rule 3: nothing is dropped: both pieces together are the letter. In time linear in its size.

Why no library: docs/decisions/0012-quoted-history.md.
"""

from __future__ import annotations

import re

LONGEST_LINE = 400  # characters; longer ones introduce nothing
MOST_LINES_OF_INTRODUCTION = 4
MOST_LINES_OF_HEADER = 8
MOST_LINES_OF_SIGNATURE = 12

# "On Monday Maya wrote:", in the languages of the desk and their neighbours; with a time or an address in it.
_WROTE = re.compile(
    r"\b(?:wrote|schrieb|geschrieben|écrit|escribi[óo]|escreveu|scritto|schreef|skrev|napisał\(?a?\)?)\b",
    re.IGNORECASE,
)
_TIME_OR_ADDRESS = re.compile(r"\d|@")
_RULE = re.compile(r"[-_=*]{2,}.{0,60}[-_=*]{2,}|[-_]{10,}")
_FORWARDED = re.compile(
    r"forward|weitergeleit|transf[ée]r|reenviad|inoltrat|encaminhad|doorgestuurd", re.IGNORECASE
)
_FROM = re.compile(r"\**(?:From|Von|De|Da|Van|Från|Fra|Od)\s?:", re.IGNORECASE)
_SENT = re.compile(
    r"\**(?:Sent|Date|Gesendet|Datum|Envoyé|Enviado(?: el)?|Fecha|Inviato|Data|Verzonden|Skickat|Wysłano)"
    r"(?: le)?\s?:",
    re.IGNORECASE,
)
_FIELD = re.compile(r"\**[\w ]{2,20}\s?:")
_SENT_FROM = re.compile(
    r"(?:Sent from|Get Outlook for|Von meinem .{2,40} gesendet|Gesendet (?:von|mit)|Envoyé (?:de|depuis)|"
    r"Enviado desde|Obtener Outlook|Télécharger Outlook|Outlook für)\b",
    re.IGNORECASE,
)


def without_history(text: str) -> tuple[str, str]:
    """The new words of a letter, and the rest of it: a signature, quoted history, both, or ""."""
    lines = text.split("\n")
    end = _start_of_history(lines)
    end = _start_of_signature(lines, end)
    new = "\n".join(lines[:end]).rstrip()
    if not new:
        return text, ""
    return new, "\n".join(lines[end:]).strip("\n")


def _start_of_history(lines: list[str]) -> int:
    """The first line of what is quoted at the end; the number of lines where nothing is."""
    quoted = _start_of_quoted_lines(lines)
    for number, line in enumerate(lines[:quoted]):
        if _begins_header(lines, number):
            return _with_rule_above(lines, number)
        if line.startswith(("-", "_", "*", "=")) and _is_rule_above_header(lines, number):
            return len(lines) if _FORWARDED.search(line) else number
    return quoted


def _start_of_quoted_lines(lines: list[str]) -> int:
    """Where the lines begin that all have ">" in front, up to the end, with the words that introduce them."""
    start = len(lines)
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].startswith(">"):
            start = number
        elif lines[number].strip():
            break
    return _with_introduction(lines, start) if start < len(lines) else start


def _with_introduction(lines: list[str], start: int) -> int:
    """Mail programs break "On Monday 23 November 2026 Maya <…> wrote:" into up to three lines."""
    last = start - 1
    while last >= 0 and not lines[last].strip():
        last -= 1
    said = ""
    for number in range(last, max(last - MOST_LINES_OF_INTRODUCTION, -1), -1):
        if not lines[number].strip() or len(lines[number]) > LONGEST_LINE:
            break
        said = f"{lines[number].strip()} {said}".strip()
        if not said.endswith((":", "\N{FULLWIDTH COLON}")):
            break
        if _WROTE.search(said) and _TIME_OR_ADDRESS.search(said) and _begins_sentence(lines, number):
            return number
    return start


def _begins_sentence(lines: list[str], number: int) -> bool:
    return number == 0 or not lines[number - 1].strip()


def _begins_header(lines: list[str], number: int) -> bool:
    """ "From: … Sent: … To: … Subject: …", as Outlook puts them in front of what it quotes."""
    if not _FROM.match(lines[number]):
        return False
    block = lines[number : number + MOST_LINES_OF_HEADER]
    fields = [line for line in block if _FIELD.match(line[:LONGEST_LINE])]
    return len(fields) >= 3 and any(_SENT.match(line) for line in block[1:])


def _with_rule_above(lines: list[str], number: int) -> int:
    above = number - 1
    while above >= 0 and not lines[above].strip():
        above -= 1
    if above >= 0 and _RULE.fullmatch(lines[above].strip()[:LONGEST_LINE]):
        return len(lines) if _FORWARDED.search(lines[above]) else above
    return number


def _is_rule_above_header(lines: list[str], number: int) -> bool:
    """ "-----Original Message-----", with a field of a header close below."""
    line = lines[number].strip()
    below = [line for line in lines[number + 1 : number + 4] if line.strip()]
    return bool(len(line) <= LONGEST_LINE and _RULE.fullmatch(line) and below and _FROM.match(below[0]))


def _start_of_signature(lines: list[str], end: int) -> int:
    """ "-- " on a line of its own (RFC 3676 section 4.3), or what a telephone puts below a mail."""
    last = end
    while last > 0 and not lines[last - 1].strip():
        last -= 1
    if last > 0 and _SENT_FROM.match(lines[last - 1].strip()[:LONGEST_LINE]):
        return last - 1
    for number in range(last - 1, max(last - 1 - MOST_LINES_OF_SIGNATURE, -1), -1):
        if lines[number].rstrip() == "--":
            return number
    return end
