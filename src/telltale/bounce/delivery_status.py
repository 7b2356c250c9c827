"""Reads a delivery status: RFC 3464, and RFC 6533 with UTF-8; also where its writer knew neither well.

Rule 1: one odd field does not cost the report. It is read as far as it goes, and named in `oddities`.
Rule 2: the words stay as they came, only folds are undone. The status is what the field says, or None.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from telltale.mail.addresses import address_of, is_address, original_of, typed
from telltale.mail.decoding import words_decoded
from telltale.mail.report import NO_DIAGNOSTIC, Action, Diagnostic, RecipientReport
from telltale.mail.status import EnhancedStatus

LONGEST_STATUS = 1_000_000  # octets of one delivery status that are read
LONGEST_HOST = 255  # octets of a name, RFC 1035 section 2.3.4
MOST_RECIPIENTS = 1_000

Fields = list[tuple[str, str]]  # in their order, the names in lower case, the values unfolded
Fallback = Callable[[], Action | None]

# A field and all lines below it that begin none. "http://" begins none.
_NAME = r"[A-Za-z][A-Za-z0-9-]{0,60}+[ \t]*+:(?!//)"
_FIELD = re.compile(
    rf"^[ \t]*+([A-Za-z][A-Za-z0-9-]{{0,60}}+)[ \t]*+:(?!//)([^\n]*+(?:\n(?!{_NAME})[^\n]*+)*+)", re.MULTILINE
)
_EMPTY_LINES = re.compile(r"\n[ \t]*+\n")
_RECIPIENT = {"final-recipient", "original-recipient", "x-actual-recipient"}
_OF_A_RECIPIENT = {*_RECIPIENT, "action", "status", "diagnostic-code"}
_OF_THE_MESSAGE = {
    "reporting-mta",
    "arrival-date",
    "original-envelope-id",
    "received-from-mta",
    "dsn-gateway",
}
_OF_ANOTHER = _RECIPIENT | _OF_THE_MESSAGE
_KNOWN = {
    "final-recipient",
    "original-recipient",
    "action",
    "status",
    "diagnostic-code",
    "remote-mta",
    "last-attempt-date",
    "will-retry-until",
    "final-log-id",
}
_MONTHS = {
    name: n
    for n, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
# As RFC 5322 section 3.3 has it, for sane values; `email.utils` reads all others, ten times slower.
_DATE = re.compile(
    rf"(?:[A-Z][a-z]{{2}}, )?(0?[1-9]|1\d|2[0-8]) ({'|'.join(_MONTHS)}) ((?:19|20)\d\d) "
    r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d) ([+-])(0\d|1[0-4])([0-5]\d)(?: \([A-Z]{1,5}\))?"
)
_ACTIONS = {action.value: action for action in Action}
# What gateways write where RFC 3464 section 2.3.3 has five words.
_LIKE_ACTIONS = {
    "fail": Action.FAILED,
    "failure": Action.FAILED,
    "permanent-failure": Action.FAILED,
    "error": Action.FAILED,
    "expired": Action.FAILED,
    "undeliverable": Action.FAILED,
    "bounced": Action.FAILED,
    "rejected": Action.FAILED,
    "delay": Action.DELAYED,
    "deferred": Action.DELAYED,
    "transient-failure": Action.DELAYED,
    "deliverable": Action.DELIVERED,  # Postfix, asked whether an address works
    "success": Action.DELIVERED,
    "sent": Action.DELIVERED,
}
_ACTION_OF_CLASS = {2: Action.DELIVERED, 4: Action.DELAYED, 5: Action.FAILED}
_STATUS_ANYWHERE = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_ENCODED_WORD = r"=\?[^\s?]{1,60}\?[bBqQ]\?[^\s?]{0,500}\?="
_ENCODED_WORDS = re.compile(rf"(?<!\S){_ENCODED_WORD}(?: {_ENCODED_WORD}){{0,100}}+(?!\S)")
_REPLY = re.compile(r"[2-5]\d\d(?:[ -]|$)")


def groups_of(text: str) -> list[Fields]:
    """The groups of fields, which empty lines part: RFC 3464 section 2.1. The first is about the message."""
    groups: list[Fields] = []
    for block in _EMPTY_LINES.split(text):
        if not (fields := _fields(block)):
            continue
        if groups and _continues(groups[-1], fields):
            groups[-1] += fields
        else:
            groups += _one_recipient_each(fields)
    return groups


def reports_of(groups: Sequence[Fields], oddities: list[str], *, fallback: Fallback) -> list[RecipientReport]:
    """One report for each group that is about a recipient.

    `fallback` tells the action where the group does not; with None such a group is left out.
    """
    of_recipients = [group for group in groups if not _OF_A_RECIPIENT.isdisjoint(name for name, _ in group)]
    if len(of_recipients) > MOST_RECIPIENTS:
        oddities.append(f"tells of {len(of_recipients)} recipients; the first {MOST_RECIPIENTS} were read")
    found = (_report(group, oddities, fallback) for group in of_recipients[:MOST_RECIPIENTS])
    return [report for report in found if report]


def _fields(block: str) -> Fields:
    """Name and value of each field, a folded one as one line: RFC 5322 section 2.2.3."""
    return [
        (name.lower(), _unfolded(name, value) if "\n" in value else value.strip())
        for name, value in _FIELD.findall(block)
    ]


def _unfolded(name: str, value: str) -> str:
    """Some write the second line of a diagnostic at the very edge; elsewhere what stands there is no part of it."""
    first, *others = value.split("\n")
    is_diagnostic = name.lower() == "diagnostic-code"
    folded = [line.strip() for line in others if is_diagnostic or line[:1] in (" ", "\t")]
    return " ".join(filter(None, [first.strip(), *folded]))


def _continues(group: Fields, fields: Fields) -> bool:
    """Whether an empty line stands within the fields of one recipient, where none belongs."""
    there = {name for name, _ in group}
    names = {name for name, _ in fields}
    return not there.isdisjoint(_RECIPIENT) and names.isdisjoint(_OF_ANOTHER) and names.isdisjoint(there)


def _one_recipient_each(fields: Fields) -> Iterator[Fields]:
    """Where the empty line between two recipients, or behind the fields of the message, is missing."""
    group: Fields = []
    there: set[str] = set()
    for name, value in fields:
        if name in _RECIPIENT and (name in there or not there.isdisjoint(_OF_THE_MESSAGE)):
            yield group
            group, there = [], set()
        group.append((name, value))
        there.add(name)
    yield group


def _report(fields: Fields, oddities: list[str], fallback: Fallback) -> RecipientReport | None:
    values = dict(reversed(fields))  # where a field comes twice, the first one counts
    status = _status(values.get("status", ""))
    diagnostic = _diagnostic(values.get("diagnostic-code", ""), oddities)
    action = _action(values.get("action", ""), status, diagnostic, oddities, fallback)
    if action is None:
        return None
    final, original = _recipients(values, oddities)
    return RecipientReport(
        final_recipient=final,
        action=action,
        status=status,
        diagnostic_code=diagnostic,
        remote_mta=_host(values.get("remote-mta", "")),
        original_recipient=original,
        last_attempt_date=_date(values.get("last-attempt-date", ""), oddities),
        will_retry_until=_date(values.get("will-retry-until", ""), oddities),
        final_log_id=values.get("final-log-id", ""),
        other_fields=tuple([(name, value) for name, value in fields if name not in _KNOWN]),
    )


def _recipients(values: dict[str, str], oddities: list[str]) -> tuple[str, str]:
    """The final and the original recipient; each stands in for the other where that is no address."""
    final = address_of(values.get("final-recipient", ""))
    original = address_of(values.get("original-recipient", ""))
    if "final-recipient" not in values:
        oddities.append("a recipient without Final-Recipient")
    if not is_address(final):
        actual = address_of(values.get("x-actual-recipient", ""))
        final = next((address for address in (original, actual) if is_address(address)), final)
    if not original and (undone := original_of(final)) != final:
        original = undone
    return final, original


def _status(value: str) -> EnhancedStatus | None:
    """The code that the field begins with; else the only one in it. "5.1.1 (no such mailbox)" gives 5.1.1."""
    if status := EnhancedStatus.parse(value):
        return status
    codes = _STATUS_ANYWHERE.findall(value[:200])
    return EnhancedStatus.parse(codes[0]) if len(codes) == 1 else None


def _action(
    value: str,
    status: EnhancedStatus | None,
    diagnostic: Diagnostic,
    oddities: list[str],
    fallback: Fallback,
) -> Action | None:
    """The action; else what the class of the status says, or that of the reply; else `fallback`."""
    word = value.partition("(")[0].strip(" \t.;").lower()
    if word in _ACTIONS:
        return _ACTIONS[word]
    action, why = _LIKE_ACTIONS.get(word), "taken for"
    if action is None:
        action, why = _ACTION_OF_CLASS.get(status.class_ if status else 0), "the status says"
    if action is None and _REPLY.match(diagnostic.text):
        action, why = _ACTION_OF_CLASS.get(int(diagnostic.text[0])), "the reply says"
    if action is None:
        action, why = fallback(), "the notice says"
    then = f"{why} {action}" if action else "nothing else tells; the recipient was left out"
    oddities.append(f"Action: {value[:80]!r} is none; {then}")
    return action


def _diagnostic(value: str, oddities: list[str]) -> Diagnostic:
    if not value:
        return NO_DIAGNOSTIC
    kind, text = typed(value)
    if kind and not _REPLY.match(value):
        return Diagnostic(kind, _decoded(text))
    oddities.append("a Diagnostic-Code without its type")
    return Diagnostic("smtp" if _REPLY.match(value) else "", _decoded(value))


def _decoded(text: str) -> str:
    """With encoded words read, where they are words: within an address they are what the server said."""
    return _ENCODED_WORDS.sub(lambda found: words_decoded(found[0]), text) if "=?" in text else text


def _host(value: str) -> str:
    """ "dns; mx.lamp.example (192.0.2.1)" without type and comment: RFC 3464 section 2.3.5."""
    words = typed(value)[1].partition("(")[0].split()
    return words[0][:LONGEST_HOST] if words else ""


def _date(value: str, oddities: list[str]) -> datetime | None:
    if not value:
        return None
    if found := _DATE.fullmatch(value):
        return _quick_date(*found.groups())
    try:
        date = parsedate_to_datetime(value[:100])
        date = date if date.tzinfo else date.replace(tzinfo=UTC)  # "-0000": RFC 5322 section 3.3
        date.astimezone(UTC)  # the year 1 may begin before there is a time in UTC
    except (ValueError, IndexError, OverflowError):
        oddities.append(f"{value[:80]!r} is no date")
        return None
    return date


def _quick_date(
    day: str, month: str, year: str, hour: str, minute: str, second: str, sign: str, hours: str, minutes: str
) -> datetime:
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    zone = timezone(offset if sign == "+" else -offset)
    return datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=zone)
