"""Reads a mail that came back: what kind of mail it is, and what it says of each recipient.

RFC 6522 (multipart/report), RFC 3464 (delivery status), RFC 6533 (the same with UTF-8), RFC 8098 (read receipts),
RFC 5965 (complaints), RFC 3834 (answers by machines).

Rule 1: whatever comes in, something comes out. What cannot be read is named in `oddities`, and the rest is read.
Rule 2: words of others are kept as they came; octets that are no UTF-8 stand as escapes.
Rule 3: enclosed mails are not searched: a person may forward a bounce, and that is no bounce.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime

from telltale.bounce.returned import Keys, Kind, Returned
from telltale.mail.report import NO_DIAGNOSTIC, Action, Diagnostic, RecipientReport
from telltale.mail.status import EnhancedStatus

MOST_PARTS = 200  # a report has three
MOST_RECIPIENTS = 1_000
LONGEST_STATUS_PART = 1_000_000  # octets
MOST_ADDRESSES = 20

Fields = list[tuple[str, str]]  # in their order, the names in lower case

# `email` takes a delivery status apart in its own way, and not at all where it is encoded (RFC 6533 section 6.3):
# under this name it stays what it is, text.
_STATUS_TYPE = re.compile(
    rb"^(content-type:\s*)message/(?:global-)?delivery-status\b", re.IGNORECASE | re.MULTILINE
)
_STATUS = "text/x-delivery-status"
_ENCLOSED = {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}
_KIND_OF_TYPE = {
    _STATUS: Kind.BOUNCE,
    "message/disposition-notification": Kind.READ_RECEIPT,
    "message/global-disposition-notification": Kind.READ_RECEIPT,
    "message/feedback-report": Kind.COMPLAINT,
}
_KIND_OF_REPORT_TYPE = {
    "delivery-status": Kind.BOUNCE,
    "disposition-notification": Kind.READ_RECEIPT,
    "feedback-report": Kind.COMPLAINT,
}
# The gravest first: one failed recipient makes a bounce of the whole.
_KIND_OF_ACTIONS = (
    (Kind.BOUNCE, {Action.FAILED}),
    (Kind.DELAYED, {Action.DELAYED}),
    (Kind.DELIVERED, {Action.DELIVERED, Action.RELAYED, Action.EXPANDED}),
)
_ACTIONS = {action.value for action in Action}
_ACTION_OF_CLASS = {2: Action.DELIVERED, 4: Action.DELAYED, 5: Action.FAILED}
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
_OF_A_RECIPIENT = {"final-recipient", "original-recipient", "action"}
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")
_ENCLOSED_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^<>\s]+>)", re.IGNORECASE | re.MULTILINE)
_FIELD = re.compile(r"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)  # RFC 5322 section 2.2
_TYPED = re.compile(r"\s*([\w-]+)\s*;\s*(.*)", re.DOTALL)  # "dns; mx.example", "smtp; 550 No"
_UTF8_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 section 3
_HIGHEST_CODE_POINT = 0x10FFFF


@dataclass
class _Notes:
    """What the reader gathers on its way."""

    oddities: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)


def read(raw: bytes) -> Returned:
    """What this mail is and says. Never raises: a mail that cannot be read at all is an ordinary one, oddly."""
    try:
        return _read(message_from_bytes(_STATUS_TYPE.sub(rb"\1text/x-delivery-status", raw)))
    except (
        Exception
    ) as fault:  # `email` fails in many ways on nonsense; the mail is stored, and people can look
        return Returned(Kind.ORDINARY, oddities=(f"could not be read: {type(fault).__name__}: {fault}",))


def _read(mail: Message) -> Returned:
    notes = _Notes()
    parts = list(_parts(mail))
    blocks = [block for part in parts if part.get_content_type() == _STATUS for block in _blocks(part)]
    reports = tuple(_reports(blocks, notes))
    return Returned(
        kind=_kind(mail, parts, reports, notes),
        reports=reports,
        keys=_keys(mail, parts, blocks),
        oddities=tuple(notes.oddities),
        evidence=tuple(notes.evidence),
    )


def _parts(mail: Message) -> Iterator[Message]:
    """The parts of the mail itself; an enclosed mail is one part and stays closed."""
    waiting = [mail]
    for _ in range(MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        yield part
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting = [inner for inner in part.get_payload() if isinstance(inner, Message)] + waiting


# The kind


def _kind(mail: Message, parts: list[Message], reports: tuple[RecipientReport, ...], notes: _Notes) -> Kind:
    kind = _kind_of_report(parts, notes)
    if kind is Kind.BOUNCE:
        return _kind_of_actions(reports, notes)
    return kind or _kind_of_letter(mail, notes)


def _kind_of_report(parts: list[Message], notes: _Notes) -> Kind | None:
    for part in parts:
        report_type = str(part.get_param("report-type") or "").lower()
        if part.get_content_type() == "multipart/report" and report_type in _KIND_OF_REPORT_TYPE:
            notes.evidence.append(f"multipart/report; report-type={report_type}")
            return _KIND_OF_REPORT_TYPE[report_type]
    for part in parts:
        if kind := _KIND_OF_TYPE.get(part.get_content_type()):
            notes.evidence.append(
                f"a part of the type {part.get_content_type().replace('text/x-', 'message/')}"
            )
            return kind
    return None


def _kind_of_actions(reports: tuple[RecipientReport, ...], notes: _Notes) -> Kind:
    actions = {report.action for report in reports}
    for kind, such in _KIND_OF_ACTIONS:
        if actions & such:
            notes.evidence += [f"Action: {action}" for action in sorted(actions & such)]
            return kind
    notes.oddities.append("a delivery status that tells of no recipient")
    return Kind.BOUNCE


def _kind_of_letter(mail: Message, notes: _Notes) -> Kind:
    signs = {
        "Auto-Submitted": _header(mail, "Auto-Submitted").lower().startswith("auto-replied"),
        "X-Autoreply": _header(mail, "X-Autoreply").lower() not in ("", "no"),
        "X-Autorespond": _header(mail, "X-Autorespond").lower() not in ("", "no"),
        "Precedence": _header(mail, "Precedence").lower() == "auto_reply",
    }
    found = [f"{name}: {_header(mail, name)}" for name, is_there in signs.items() if is_there]
    notes.evidence += found
    return Kind.AUTOREPLY if found else Kind.ORDINARY


# The recipients


def _blocks(part: Message) -> Iterator[Fields]:
    """The groups of fields of a delivery status, which blank lines part: RFC 3464 section 2.1."""
    payload = part.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    text = octets[:LONGEST_STATUS_PART].decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    for block in re.split(r"\n[ \t]*\n", text):
        if fields := _fields(block):
            yield fields


def _fields(block: str) -> Fields:
    """Name and value of each field, a folded one as one line: RFC 5322 section 2.2.3."""
    lines: list[str] = []
    for line in block.split("\n"):
        if line[:1] in (" ", "\t") and lines:
            lines[-1] = f"{lines[-1]} {line.strip()}"
        elif line.strip():
            lines.append(line.rstrip())
    found = (_FIELD.fullmatch(line) for line in lines)
    return [(match[1].lower(), match[2].strip()) for match in found if match]


def _reports(blocks: list[Fields], notes: _Notes) -> Iterator[RecipientReport]:
    of_recipients = [fields for fields in blocks if _OF_A_RECIPIENT & {name for name, _ in fields}]
    if len(of_recipients) > MOST_RECIPIENTS:
        notes.oddities.append(
            f"tells of {len(of_recipients)} recipients; the first {MOST_RECIPIENTS} were read"
        )
    for fields in of_recipients[:MOST_RECIPIENTS]:
        if report := _report(fields, notes):
            yield report


def _report(fields: Fields, notes: _Notes) -> RecipientReport | None:
    values = dict(reversed(fields))  # where a field comes twice, the first one counts
    status = EnhancedStatus.parse(values.get("status", ""))
    action = _action(values.get("action", ""), status, notes)
    if action is None:
        return None
    original = _address(values.get("original-recipient", ""))
    final = _address(values.get("final-recipient", ""))
    if not final:
        notes.oddities.append("a recipient without Final-Recipient")
    return RecipientReport(
        final_recipient=final or original,
        action=action,
        status=status,
        diagnostic_code=_diagnostic(values.get("diagnostic-code", ""), notes),
        remote_mta=_host(values.get("remote-mta", "")),
        original_recipient=original,
        last_attempt_date=_date(values.get("last-attempt-date", ""), notes),
        will_retry_until=_date(values.get("will-retry-until", ""), notes),
        final_log_id=values.get("final-log-id", ""),
        other_fields=tuple((name, value) for name, value in fields if name not in _KNOWN),
    )


def _action(value: str, status: EnhancedStatus | None, notes: _Notes) -> Action | None:
    """The action, or what the class of the status says; None where neither tells."""
    word = value.partition("(")[0].strip().lower()
    if word in _ACTIONS:
        return Action(word)
    action = _ACTION_OF_CLASS[status.class_] if status else None
    then = f"the status says {action}" if action else "nothing else tells; the recipient was left out"
    notes.oddities.append(f"Action: {value[:80]!r} is none; {then}")
    return action


def _diagnostic(value: str, notes: _Notes) -> Diagnostic:
    if not value:
        return NO_DIAGNOSTIC
    if typed := _TYPED.fullmatch(value):
        return Diagnostic(typed[1].lower(), typed[2].strip())
    notes.oddities.append("a Diagnostic-Code without its type")
    return Diagnostic("smtp" if re.match(r"[2-5]\d\d[ -]", value) else "", value)


def _address(value: str) -> str:
    """ "rfc822; ana@lamp.example" without its type, which some leave out: RFC 3464 section 2.3.2."""
    typed = _TYPED.fullmatch(value)
    kind, address = (typed[1].lower(), typed[2]) if typed else ("", value)
    address = address.strip().removeprefix("<").removesuffix(">")
    return _UTF8_ESCAPE.sub(_unescaped, address) if kind == "utf-8" else address


def _unescaped(escape: re.Match[str]) -> str:
    point = int(escape[1], 16)
    return chr(point) if point <= _HIGHEST_CODE_POINT and not 0xD800 <= point <= 0xDFFF else escape[0]


def _host(value: str) -> str:
    """ "dns; mx.lamp.example (192.0.2.1)" without type and comment: RFC 3464 section 2.3.5."""
    typed = _TYPED.fullmatch(value)
    words = (typed[2] if typed else value).partition("(")[0].split()
    return words[0] if words else ""


def _date(value: str, notes: _Notes) -> datetime | None:
    if not value:
        return None
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        notes.oddities.append(f"{value[:80]!r} is no date")
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)  # "-0000": the time is UTC, RFC 5322 section 3.3


# The keys


def _keys(mail: Message, parts: list[Message], blocks: list[Fields]) -> Keys:
    envelope_ids = [value for fields in blocks for name, value in fields if name == "original-envelope-id"]
    enclosed = [part for part in parts[1:] if part.get_content_type() in _ENCLOSED]
    to = [_header(mail, name) for name in ("Delivered-To", "X-Original-To", "To")]
    addresses = [address for _, address in getaddresses([value for value in to if value]) if "@" in address]
    answered = " ".join(_header(mail, name) for name in ("In-Reply-To", "References"))
    return Keys(
        return_path_to=tuple(dict.fromkeys(addresses[:MOST_ADDRESSES])),
        original_envelope_id=envelope_ids[0] if envelope_ids else "",
        message_ids=tuple(dict.fromkeys(filter(None, map(_message_id, enclosed)))),
        references=tuple(dict.fromkeys(_MESSAGE_ID.findall(answered))),
    )


def _message_id(enclosed: Message) -> str:
    """The Message-ID of a mail that is enclosed, whole or as its header alone: RFC 6522 section 3."""
    payload = enclosed.get_payload()
    if isinstance(payload, list):
        inner = payload[0] if payload else None
        found = _MESSAGE_ID.search(_header(inner, "Message-ID")) if isinstance(inner, Message) else None
        if found:
            return found[0]
    octets = enclosed.get_payload(decode=True)
    in_text = _ENCLOSED_MESSAGE_ID.search(octets) if isinstance(octets, bytes) else None
    return in_text[1].decode("utf-8", "backslashreplace") if in_text else ""


def _header(mail: Message, name: str) -> str:
    return " ".join(str(mail.get(name, "")).split())
