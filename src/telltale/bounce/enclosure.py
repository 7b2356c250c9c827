"""Knows the line below which a notice has the mail that it returns: a sentence that says so, or a header."""

from __future__ import annotations

import re

LONGEST_ANNOUNCEMENT = 250  # characters of the line above the returned mail

# How a line begins that says: what follows is your mail. In lower case, without the dashes around it.
_BEGINNINGS = (
    *(
        "this is a copy of",
        "this is the header",
        "below",
        "enclosed is",
        "here is",
        "the following is",
        "following is",
    ),
    *(
        "header",
        "the header",
        "a copy of",
        "copy of",
        "original",
        "the original",
        "returned",
        "the returned",
        "unsent",
    ),
    *(
        "the unsent",
        "undelivered",
        "the undelivered",
        "undeliverable",
        "failed",
        "bounced",
        "old ",
        "message",
        "first ",
        "possibly truncated",
    ),
    *("the first", "received message", "start of", "included is", "--- "),
    *(
        "mensaje",
        "correo",
        "mensagem",
        "copia",
        "cabeceras",
        "en-t",
        "copie",
        "urspr",
        "original",
        "kopfzeilen",
    ),
    *(
        "es folgt",
        "messaggio",
        "intestazioni",
        "oorspronkelijk",
        "исходн",
        "текст",
        "заголов",
        "元の",
        "原",
        "以下は",
    ),
)
_ABOVE_RETURNED = re.compile(
    r"(?:this is a copy of (?:the|your) |this is the header of |"
    r"below (?:this line )?is (?:a copy of )?the (?:original|message)|"
    r"(?:below this line|enclosed|here|following) is (?:a copy of )?(?:the|your) (?:original )?(?:message|mail|header)|"
    r"(?:the )?headers? of (?:the|your) (?:original )?message|a copy of the original message below|"
    r"(?:the |possibly truncated )?(?:original|returned|unsent|undelivered|old) (?:e-?mail )?"
    r"(?:message|mail)(?: headers?| text| body| is| contents?)?"
    r"(?: follows?| below| attached| as received| enclosed)?[^\w]{0,60}$|"
    r"(?:the )?(?:undeliverable|failed|bounced) (?:message|mail)(?: is)? (?:follows?|below|attached|enclosed)|"
    r"original message (?:attached|as received|headers?|details|follows)|included is a copy of the message|"
    r"message (?:header|headers|text|contents?|body|source)s?(?: that you sent)? follows?\b|message headers follow|"
    r"returned (?:mail|message) follows|unsent message |first \d+ lines of (?:the )?(?:original )?message|"
    r"the following is a copy of |here is your (?:original )?message|here is a copy of |returned content|"
    r"received message:?$|start of (?:the )?(?:original|returned) message|"
    r"the (?:first )?\d+ (?:lines|bytes|characters) of the (?:original )?message|"
    r"(?:mensaje|correo) original|mensagem original|copia del mensaje|cabeceras del mensaje original|"
    r"message (?:original|d'origine)|en-t[êe]tes (?:de |du )?message d.origine|copie du message|"
    r"urspr(?:ü|ue)ngliche nachricht|originalnachricht|kopfzeilen der|es folgt (?:die|eine kopie)|"
    r"messaggio originale|intestazioni del messaggio originale|oorspronkelijk bericht|"
    r"исходное сообщение|текст (?:вашего|исходного) |заголовки? (?:исходного|письма)|"
    r"元のメッセージ|原文|以下は|原(?:始)?邮件(?:如下|内容|正文)?[:：]?$|원본 메(?:시지|일))"
)
# Fields that no notice writes at the beginning of a line, and which another field follows.
_STRONG_FIELDS = (
    "return-path:",
    "received:",
    "dkim-signature:",
    "delivered-to:",
    "message-id:",
    "mime-version:",
    "x-",
)
_FIELD = re.compile(r"[a-z][\w-]{1,60}:")


def announces_returned(line: str) -> bool:
    """Whether this line (in lower case) says that the returned mail follows."""
    words = line.strip(" \t-=_*|#>[")
    if not words.startswith(_BEGINNINGS) or len(line) > LONGEST_ANNOUNCEMENT:
        return False
    return _ABOVE_RETURNED.match(words) is not None


def begins_header(lines: list[str], at: int) -> bool:
    """Whether the header of a mail begins at this line: a field that only mails have, and another one behind it.

    The lines are in lower case.
    """
    line = lines[at]
    if line[:1] == ">":
        line = line[1:].lstrip(" ")
    if not line.startswith(_STRONG_FIELDS) or not _FIELD.match(line):
        return False
    following = at + 1
    while following < min(len(lines), at + 30) and lines[following][:1] in (" ", "\t"):
        following += 1
    return following < len(lines) and _FIELD.match(lines[following].lstrip("> ")) is not None
