"""From what a person pastes to the report that a bounce would have made of it."""

from __future__ import annotations

import re

from telltale.bounce import wording
from telltale.mail.report import Action, Diagnostic, RecipientReport, Stage
from telltale.mail.status import EnhancedStatus

# RFC 3464 section 2.3.6: those who copy a whole Diagnostic-Code copy its type.
_TYPE = re.compile(r"\s*(smtp|lmtp|dns|x-[\w-]{1,40})\s*;\s*", re.IGNORECASE)
_CODES = re.compile(
    r"(?:(?P<code>[2-5]\d\d)(?![\w.])[- ]?)?\s*#?(?P<status>[245]\.\d{1,3}\.\d{1,3}(?![\d.]))?"
)


def report_of(text: str, *, host: str = "", stage: Stage | None = None) -> RecipientReport:
    """What is said of a recipient by these words of a server, or by a code alone: "550", "5.7.1", "421-4.7.28".

    A refusal is final unless its code says otherwise.
    """
    prefix = _TYPE.match(text)
    words = text[prefix.end() :] if prefix else text.strip()
    found = _CODES.match(words)
    code = int(found["code"]) if found and found["code"] else None
    status = EnhancedStatus.parse(found["status"]) if found and found["status"] else None
    if status and code and status.class_ != code // 100:
        status = None  # RFC 2034 section 4: a class that contradicts the reply code is no enhanced code
    kind = prefix[1].lower() if prefix else ""
    return RecipientReport(
        final_recipient="",
        action=_action(code, status, words),
        status=status,
        diagnostic_code=Diagnostic("smtp" if code and kind in ("", "lmtp") else kind, words),
        remote_mta=host,
        stage=stage,
    )


def _action(code: int | None, status: EnhancedStatus | None, words: str) -> Action:
    """By the first digit; where the words have none in front, by that of the reply that they quote."""
    quoted = code or next((saying.code for saying in wording.sayings(words) if saying.code), None)
    class_ = quoted // 100 if quoted else status.class_ if status else 5
    return {4: Action.DELAYED, 5: Action.FAILED}.get(class_, Action.RELAYED)
