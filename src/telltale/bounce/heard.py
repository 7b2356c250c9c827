"""Finds the words of a server in the paragraph that tells of them.

"host mx.lamp.example[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command)" holds the host, its
reply and the step at which it gave it. The reply is taken as it is: nothing glued on, nothing cut out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from telltale.mail.report import NO_DIAGNOSTIC, Diagnostic, Stage
from telltale.mail.status import EnhancedStatus

LONGEST_WORDS = 8_000  # characters of one paragraph; RFC 5321 allows 512 octets a line

_HOST = r"(?P<host>[\w.-]{1,255}+)"
_REPLY = r"[245]\d\d(?:[- :]|$)"
# What stands in front of a reply, the surest first; the reply reaches to the end of the paragraph. The word in front
# (in lower case) stands in every text that the pattern finds something in: looking for it costs next to nothing.
_INTRODUCTIONS = tuple(
    (word, re.compile(pattern, re.IGNORECASE))
    for word, pattern in (
        # Postfix
        ("said:", rf"\bhost {_HOST} ?\[[^\]\s]{{1,80}}\](?::\d+)? said: ?"),
        ("refused to talk", rf"\bhost {_HOST} ?\[[^\]\s]{{1,80}}\](?::\d+)? refused to talk to me: ?"),
        # Exim; since 4.90 it names the host first
        (
            "smtp error from remote",
            (
                rf"\bhost {_HOST}(?: \[[^\]\s]{{1,80}}\])? SMTP error from remote (?:mail server|mailer) after "
                r"(?P<stage>[^:]{1,60}(?::<[^>]{0,320}>[^:]{0,80})?): ?(?=[245]\d\d)"
            ),
        ),
        (
            "smtp error from remote",
            (
                r"\bSMTP error from remote (?:mail server|mailer) after "
                r"(?P<stage>[^:]{1,60}?(?::? ?<[^>]{0,320}>[^:]{0,80})?): "
                rf"host {_HOST}(?: \[[^\]\s]{{1,80}}\])?: ?"
            ),
        ),
        # GMX, Mail.ru
        (
            "smtp error from remote server",
            (
                r"\bSMTP error from remote server after (?P<stage>[\w -]{1,30}?)(?: command)?: ?"
                rf"host:? {_HOST}(?: \[[^\]\s]{{1,80}}\])?:? "
            ),
        ),
        # DragonFly
        (
            "did not like our",
            rf"(?<![\w.-]){_HOST} \[[^\]\s]{{1,80}}\] did not like our (?P<stage>[A-Z ]{{4,12}}): ?",
        ),
        # qmail
        (
            "does not like",
            rf"(?<![\w.-]){_HOST} does not like (?:recipient|sender|message)\. ?Remote host said: ?(?={_REPLY})",
        ),
        (
            "was rejected",
            rf"\b(?:connected to|host) {_HOST} but (?P<stage>\w{{1,20}}) was rejected\. ?Remote host said: ?",
        ),
        ("remote host said", rf"\bremote host said: ?(?={_REPLY})"),
        # Exchange 2003, and what came after it
        ("smtp;", rf"<{_HOST} #[^<>]{{0,20}}smtp; ?(?={_REPLY})"),
        ("remote ", r"\bremote (?:smtp )?server (?:returned|responded with):? ?['\"]?(?=[245]\d\d)"),
        # Gmail
        (
            "server",
            (
                r"\b(?:error|response|reply) (?:that |from )?(?:the )?(?:other|remote|recipient's?) (?:mail )?server"
                r"(?: returned)? (?:was|is):? ?"
            ),
        ),
        ("the response was", r"\bthe response was:? ?"),
        ("responded with", rf"\bserver responded with: ?(?={_REPLY})"),
        # MailFoundry
        ("with", rf"(?<![\w.-]){_HOST}\[[^\]\s]{{1,80}}\] (?:responded with failure|failed with): ?"),
        (
            "",
            (
                rf"\b(?:said|answered|responded|response|reply|error|reason|because|details?|diagnostic(?:-code)?)"
                rf"[ :;]{{1,4}}(?:smtp;)? ?['\"(]{{0,2}}(?={_REPLY})"
            ),
        ),
        ("#", r"#(?=[45]\d\d [45]\.\d)"),
        # Nobody introduces it
        ("", r"(?<![\w.@/#=-])(?=[45]\d\d[- ](?:#?[45]\.\d{1,3}\.\d{1,3}|[A-Za-z<]))"),
    )
)
_REFUSED_LINE = re.compile(r"<<<\s*([45]\d\d.*)")
# Cisco Secure Email says a code and words of its own, and quotes the reply behind them.
_OF_A_GATEWAY = re.compile(r"[45]\.\d{1,3}\.\d{1,3} - [A-Z]")
# The host that was asked, on a line of its own: Courier's, Exim's.
_HOST_ALONE = re.compile(rf"{_HOST} \[[^\]\s]{{1,80}}\]:")
_HOST_IN_FRONT = re.compile(rf"host {_HOST} \[[^\]\s]{{1,80}}\](?: |$)")
_IS_REPLY = re.compile(_REPLY)
_AT_ONCE = re.compile(rf"[\s'\"(]*(?={_REPLY})")
# What the writer of the notice says behind the reply.
_BEHIND = re.compile(
    r"(?:\s{0,3}\(in reply to (?P<stage>[^()]{1,40}?)(?: command)?\)|\s{0,3}Giving up on [\w.:-]{1,255}\.?"
    r"(?:\s{0,3}I'm not going to try again[^\n]*)?|\s{0,3}\[(?P<step>[A-Z_]{4,20})\]|\s{0,3}##.{0,400}|> #SMTP#)$"
)
_STAGES = (
    ("end of data", Stage.CONTENT),
    ("end-of-data", Stage.CONTENT),
    ("final data", Stage.CONTENT),
    ("message content", Stage.CONTENT),
    ("pipelined", Stage.DATA),
    ("data", Stage.DATA),
    ("rcpt", Stage.RCPT),
    ("recipient", Stage.RCPT),
    ("mail", Stage.MAIL),
    ("sender", Stage.MAIL),
    ("ehlo", Stage.EHLO),
    ("helo", Stage.EHLO),
    ("starttls", Stage.STARTTLS),
    ("initial connection", Stage.CONNECT),
)
# Gmail's prose says the code twice: "550 550 5.1.1".
_STATUS_BEHIND_CODE = re.compile(r"(?:([245]\d\d)[- :]{1,2}(?:\1[- ])?)#?([245]\.\d{1,3}\.\d{1,3})")
_STATUS_OF_QMAIL = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\)|(?:^|[\s<\[])#([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Heard:
    """What somebody said about a recipient. `diagnostic.type` is "smtp" where it is the reply of a server."""

    diagnostic: Diagnostic = NO_DIAGNOSTIC
    status: EnhancedStatus | None = None
    remote_mta: str = ""
    stage: Stage | None = None


NOTHING = Heard()


def heard(lines: Iterable[str], *, speaker: str = "") -> Heard:
    """What these lines tell. `speaker` is the type of the diagnostic where no SMTP server speaks: "x-qmail"."""
    lines = list(lines)
    if any(line.lstrip().startswith("<<<") for line in lines):
        return _in_transcript(lines, speaker)
    text = unfolded(lines)[:LONGEST_WORDS]
    if not text:
        return NOTHING
    if _OF_A_GATEWAY.match(text):
        return Heard(Diagnostic(speaker, text), EnhancedStatus.parse(text))
    if found := _AT_ONCE.match(text):
        return _reply(text[found.end() :], {}, speaker)
    lower = text.lower()
    for word, introduction in _INTRODUCTIONS:
        if word in lower and (found := introduction.search(text)):
            return _reply(text[found.end() :], found.groupdict(), speaker)
    if found := _HOST_IN_FRONT.match(text):
        words = text[found.end() :]
        return Heard(Diagnostic(speaker if words else "", words), _status_of_words(words), found["host"])
    return Heard(Diagnostic(speaker, text), _status_of_words(text))


def unfolded(lines: Iterable[str]) -> str:
    """The lines as one; only where a reply has several lines of its own, each keeps its line.

    What is behind LONGEST_WORDS is left out.
    """
    text = ""
    for line in lines:
        if len(text) > LONGEST_WORDS:
            break
        words = line.strip()
        if words:
            between = "\n" if text and _is_next_line_of_reply(text, words) else " "
            text = f"{text}{between}{words}" if text else words
    return text


def stage_of(command: str) -> Stage | None:
    """The step of a session that a notice names: "RCPT TO", "end of data"."""
    command = command.lower().replace("_", " ")
    return next((stage for name, stage in _STAGES if name in command), None)


def status_in(reply: str) -> EnhancedStatus | None:
    """The enhanced code behind the reply code; RFC 2034 section 4: only where their classes agree."""
    found = _STATUS_BEHIND_CODE.match(reply)
    status = EnhancedStatus.parse(found[2]) if found else None
    return status if status and str(status.class_) == reply[0] else None


def _in_transcript(lines: Iterable[str], speaker: str) -> Heard:
    """ ">>> RCPT TO:<ana@lamp.example>" and the refusal to it, "<<< 550 No such user": the last of those.

    Where no server refused, what stands in its place says why there was none.
    """
    stage: Stage | None = None
    host = words = ""
    refused: list[str] = []
    refused_at: Stage | None = None
    for line in map(str.strip, lines):
        if line.startswith(">>>"):
            stage = stage_of(line)
        elif found := _REFUSED_LINE.match(line):
            is_next = refused and refused[-1][3:4] == "-" and refused_at is stage
            refused = [*refused, found[1]] if is_next else [found[1]]
            refused_at = stage
        elif line.startswith("<<<"):
            words = line.removeprefix("<<<").strip()
        elif named := _HOST_ALONE.fullmatch(line):
            host = named["host"]
    text = "\n".join(refused)[:LONGEST_WORDS]
    if not text:
        return Heard(Diagnostic(speaker if words else "", words[:LONGEST_WORDS]), remote_mta=host)
    return Heard(Diagnostic("smtp", text), status_in(text), host, refused_at)


def _reply(text: str, told: dict[str, str | None], speaker: str) -> Heard:
    stage = told.get("stage") or ""
    while found := _BEHIND.search(text):
        text = text[: found.start()]
        stage = stage or found["stage"] or found["step"] or ""
    text = _without_end_quote(text.strip())
    is_reply = _IS_REPLY.match(text) is not None
    status = status_in(text) if is_reply else None
    if not is_reply and told.get("host"):
        status = EnhancedStatus.parse(text)  # the words of a server, to which only the reply code is missing
    kind = "smtp" if is_reply or status else speaker
    return Heard(
        Diagnostic(kind, text), status or _status_of_words(text), told.get("host") or "", stage_of(stage)
    )


def _without_end_quote(text: str) -> str:
    """Without the quote or bracket that was opened in front of the reply."""
    last = text[-1:]
    if last in "'\"" and text.count(last) % 2:
        return text[:-1].rstrip()
    if last in ")>" and text.count(last) > text.count("(" if last == ")" else "<"):
        return text[:-1].rstrip()
    return text


def _status_of_words(text: str) -> EnhancedStatus | None:
    found = _STATUS_OF_QMAIL.search(text)
    return EnhancedStatus.parse(found[1] or found[2]) if found else None


def _is_next_line_of_reply(text: str, words: str) -> bool:
    code = words[:3]
    if not (code.isascii() and code.isdigit() and words[3:4] in ("-", " ", "")):
        return False
    return text.find(f"{code}-", text.rfind("\n") + 1) >= 0
