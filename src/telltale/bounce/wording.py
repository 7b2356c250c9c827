"""The words of a reply, made ready to be compared: unfolded, unwrapped, and read for times and obstacles.

What is shown to people stays as it came; everything here works on a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from telltale.bounce.patterns import pattern
from telltale.mail.report import Stage

# Characters that are compared: RFC 5321 section 4.5.3.1.5 allows 512 octets a line, and few replies have 15.
LONGEST_TEXT = 8_000
LONGEST_OBSTACLE = 200
LONGEST_TYPE = 12  # characters, with its semicolon
LONGEST_PAUSE = timedelta(days=5)  # no queue keeps a mail longer

_PREFIX = r"^[2-5]\d\d(?:[- ](?:[245]\.\d{1,3}\.\d{1,3}(?![\d.]) ?)?|$)"
_FOLDED = re.compile(r"([45]\d\d)-((?:[45]\.\d{1,3}\.\d{1,3} )?)")
# RFC 3464 section 2.3.6: the type of a diagnostic code, for those who paste the whole field.
_TYPE = r"(?i)^(?:smtp|lmtp|x-postfix|x-unix|x-notes|dns|x-local) ?; ?"
_ESCAPES = r"(?i)(?:\\x[89a-f][0-9a-f])+"

_CODE = r"[45]\d\d[- ]"
# Who wraps another server's reply into words of its own. In front stands what every such text holds: one look
# for it is much cheaper than the pattern.
_WRAPPERS = (
    # Postfix
    (
        "] ",
        (
            r"\bhost (?P<host>[\w.-]+)\[[^\]\s]*\] (?:said|refused to talk to me): (?P<words>.+?)"
            r"(?: \(in reply to (?P<stage>[^()]{1,40}?)(?: command)?\))?$"
        ),
    ),
    ("temporarily suspended: ", r"\bdelivery temporarily suspended: (?P<words>.+)$"),
    # Cisco Secure Email: its own 5.1.0 says nothing
    (
        " - ",
        (
            rf"^(?:{_CODE})?[45]\.\d\.\d - [^'\d]{{1,80}}?(?P<code>[45]\d\d)[- ]?'(?P<words>[^']+.*?)'?"
            r"(?: \(delivery attempts: \d+\))?$"
        ),
    ),
    # Exchange
    (
        "remote ",
        (
            r"\bremote (?:smtp )?server (?:returned|responded)[^<]{0,200}?'?<[^<>#]{0,200}#"
            rf"(?P<words>{_CODE}[^>]+)>"
        ),
    ),
    ("remote ", rf"\bremote server returned [^>]{{1,300}}? -> (?P<words>{_CODE}.+)$"),
    ("remote ", rf"\bremote server (?:returned|responded with):? ?'?(?P<words>{_CODE}[^']+)'?"),
    # Exim
    (
        "smtp error from remote ",
        (
            r"\bsmtp error from remote (?:mail )?server after (?P<stage>[a-z ]{1,40}?)"
            rf"(?: ?(?:from|to)?:[^:]{{0,300}}?)?: (?:host (?P<host>[\w.-]+) \[[^\]\s]*\]: )?(?P<words>{_CODE}.+)$"
        ),
    ),
    # Amazon SES
    ("<", rf"<(?P<words>{_CODE}[^<>]+)>"),
    # SparkPost and Momentum
    ("last transfail: ", r"\blast transfail: (?P<words>[^()]+(?:\([^()]*\)[^()]*)*)\)?"),
    # MailChannels, and whoever else quotes the next server behind its own temporary code
    ("] ", rf"^4\d\d (?:4\.\d{{1,3}}\.\d{{1,3}} )?\[\w+\] (?P<words>{_CODE}.+)$"),
    # Zoho
    ("error_code", rf"\berror_code ?:(?P<words>{_CODE}.+)$"),
)
_STAGES = (
    ("end of data", Stage.CONTENT),
    ("data", Stage.DATA),
    ("rcpt", Stage.RCPT),
    ("mail", Stage.MAIL),
    ("ehlo", Stage.EHLO),
    ("helo", Stage.EHLO),
)
_LAST_OBSTACLE = (
    r"\blast transfail: ([^()]+(?:\([^()]*\)[^()]*)*)",
    r"\blast (?:error|reply|response|obstacle)(?: (?:was|from \S+))?:? (.+)",
    r"\bdelivery expired \(message too old\) '([^']+)'",
    r"\bdelivery temporarily suspended: (.+)",
    r"\b(?:said|refused to talk to me): (.+)",
    r"<([45]\d\d[- ][^<>]+)>",  # Amazon SES
)
_ASKED_BACK = (
    r"\b(?:try|retry|retries|again|wait|come back|gr[ea]y-?list\w*|deferred|delayed|postponed)\b"
    r"(?P<between>\D{0,40}?)(?:(?P<clock>\d{1,2}:[0-5]\d:[0-5]\d)\b"
    r"|(?P<number>\d{1,7}) ?(?P<unit>seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)\b)"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Saying:
    """What one server said. `host` and `stage` are those that the text names; "" and None where it names none."""

    text: str
    host: str = ""
    stage: Stage | None = None

    @property
    def code(self) -> int | None:
        """The reply code that the text begins with."""
        code = self.text[:3]
        ends = not self.text[3:4].isalnum() and self.text[3:4] != "."
        is_number = len(code) == 3 and code.isascii() and code.isdigit()
        return int(code) if ends and is_number and "200" <= code <= "599" else None


def sayings(text: str) -> tuple[Saying, ...]:
    """The reply and what it quotes, innermost first: the one who refused knows best why. In lower case."""
    found = [Saying(unfolded(text).lower())]
    while len(found) < 4 and (inner := _unwrapped(found[0].text)):
        found.insert(0, inner)
    return tuple(found)


@lru_cache(maxsize=16)  # one report asks for the same text several times
def unfolded(text: str) -> str:
    """The lines of a reply as one, without the codes that each line repeats; at most 8,000 characters."""
    first, *others = text[:LONGEST_TEXT].strip().splitlines() or [""]
    joined = " ".join(
        " ".join([first, *(pattern(_PREFIX).sub("", line, count=1) for line in others)]).split()
    )
    if ";" in joined[:LONGEST_TYPE]:
        joined = pattern(_TYPE).sub("", joined)
    if "\\x" in joined:
        joined = pattern(_ESCAPES).sub(_read_as_latin, joined)
    folded = _FOLDED.match(joined)
    if folded is None:
        return joined
    # The lines of a bounce are already joined: "550-5.1.1 No such 550-5.1.1 user 550 5.1.1 here".
    code, status = folded.groups()
    words = re.sub(rf" {code}[- ]{re.escape(status)}", " ", joined[folded.end() :])
    return f"{code} {status}{words}".strip()


def _read_as_latin(escapes: re.Match[str]) -> str:
    r"""Octets that are no UTF-8 stand as "\xee" in what we keep; most often they are Latin-1 or Windows-1252."""
    octets = bytes.fromhex(escapes[0].replace("\\x", "").replace("\\X", ""))
    return octets.decode("cp1252", "replace")


def last_obstacle(text: str) -> str:
    """What a mail that was given up met last, where the text tells; "" where it does not."""
    joined = unfolded(text)
    for expression in _LAST_OBSTACLE:
        if found := pattern(expression, re.IGNORECASE).search(joined):
            return shortened(found[1].strip(" .'\"()"))
    return ""


def pause_asked_for(text: str) -> timedelta | None:
    """The "try again in N" of a reply, at most five days; None where it names no time."""
    found = pattern(_ASKED_BACK).search(text[:LONGEST_TEXT].lower())
    if found is None:
        return None
    if clock := found["clock"]:
        hours, minutes, seconds = map(int, clock.split(":"))
        return min(timedelta(hours=hours, minutes=minutes, seconds=seconds), LONGEST_PAUSE)
    seconds = int(found["number"]) * _SECONDS[found["unit"][0]]
    return min(timedelta(seconds=seconds), LONGEST_PAUSE)


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_OBSTACLE else f"{text[:LONGEST_OBSTACLE]} …"


def _unwrapped(text: str) -> Saying | None:
    for mark, expression in _WRAPPERS:
        if mark in text and (found := pattern(expression).search(text)):
            parts = found.groupdict()
            words = unfolded(" ".join(filter(None, (parts.get("code"), parts["words"]))))
            if len(words) < len(text):
                return Saying(words, parts.get("host") or "", _stage(parts.get("stage") or ""))
    return None


def _stage(command: str) -> Stage | None:
    return next((stage for name, stage in _STAGES if name in command), None)
