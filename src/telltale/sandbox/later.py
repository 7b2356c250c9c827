"""The mail that follows an acceptance: a bounce, a warning, a report of success, an automatic answer.

Delivery status notifications have the form of RFC 3464 in a multipart/report of RFC 6522; the automatic answer
keeps RFC 3834. All go to the return path, from <>.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import format_datetime, make_msgid

from telltale.mail.reply import SmtpReply
from telltale.sandbox.scenarios import Later
from telltale.sandbox.session import Accepted

MOST_HEADERS = 32 * 1024  # octets of the returned headers
LONGEST_LINE = (
    998  # octets, without CRLF: RFC 5322 section 2.1.1; the desk's server need not take a longer one
)
LONGEST_SUBJECT = 300  # characters

# Scenario -> the one whose words the bounce quotes, where a provider has none of its own.
_SAME_WORDS = {"bounce-later": "no-such-user", "full-later": "full"}

_ACTIONS = {Later.FAILED: "failed", Later.DELAYED: "delayed", Later.DELIVERED: "delivered"}
_EXPLANATIONS = {
    Later.FAILED: "Your message could not be delivered to this recipient, and no further try will be made:",
    Later.DELAYED: "This is a warning only. Your message was not delivered yet; you need not send it again:",
    Later.DELIVERED: "Your message was delivered to this recipient:",
}
_SUBJECTS = {
    Later.DELAYED: "Delivery Status Notification (Delay)",
    Later.DELIVERED: "Delivery Status Notification (Success)",
}


def compose_later(accepted: Accepted, *, now: datetime) -> bytes:
    """The mail that the scenario of `accepted` wants, with CRLF line ends."""
    if accepted.scenario.later is Later.AUTO_REPLY:
        return _auto_reply(accepted, now)
    return _report(accepted, now)


def quoted_reply(accepted: Accepted) -> SmtpReply:
    """What the report says that the server behind the first one answered."""
    provider, scenario, recipient = accepted.provider, accepted.scenario.name, accepted.mail.rcpt_to
    if scenario not in provider.words:
        scenario = _SAME_WORDS.get(scenario, scenario)
    moment = {
        "recipient": recipient,
        "recipient_domain": recipient.rpartition("@")[2],
        "host": accepted.mail.server,
        "session": provider.make_session(),
    }
    return SmtpReply.from_wire(provider.words_for(scenario).format_map(moment).encode())


def _report(accepted: Accepted, now: datetime) -> bytes:
    later = accepted.scenario.later
    assert later is not None  # noqa: S101 - tells mypy what the caller promises
    headers = _headers_of(accepted.mail.content)
    reply = quoted_reply(accepted)
    boundary = f"=_{secrets.token_hex(12)}"
    subject = _SUBJECTS.get(later, accepted.provider.failed_subject).format(subject=_word(headers, "Subject"))
    top = [
        *_addressing(
            accepted, f"{accepted.provider.notifier} <mailer-daemon@{_domain(accepted)}>", subject, now
        ),
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
    ]
    explanation = (
        f"{_EXPLANATIONS[later]}\n\n    {accepted.mail.rcpt_to}\n\nThe server answered:\n\n{_indented(reply)}"
    )
    parts = [
        _part("text/plain; charset=utf-8", _octets(explanation)),
        _part("message/delivery-status", _octets(_status_fields(accepted, reply, now))),
        _part("text/rfc822-headers", _original_headers(accepted.mail.content)),
    ]
    opening, closing = f"--{boundary}\r\n".encode(), f"--{boundary}--\r\n".encode()
    return _octets("\n".join(top) + "\n\n") + opening + opening.join(parts) + closing


def _status_fields(accepted: Accepted, reply: SmtpReply, now: datetime) -> str:
    """RFC 3464 sections 2.2 and 2.3, in ASCII."""
    assert accepted.scenario.later is not None  # noqa: S101 - as above
    recipient = accepted.mail.rcpt_to
    arrival = datetime.fromtimestamp(accepted.mail.at / 1e9, UTC)
    fields = [
        f"Reporting-MTA: dns; {accepted.mail.server}",
        f"Arrival-Date: {format_datetime(arrival)}",
        "",
        f"Final-Recipient: {'rfc822' if recipient.isascii() else 'utf-8'}; {_ascii(recipient)}",
        f"Action: {_ACTIONS[accepted.scenario.later]}",
        f"Status: {reply.enhanced_status or f'{reply.code // 100}.0.0'}",
        f"Remote-MTA: dns; mailstore.{_domain(accepted)}",
        f"Diagnostic-Code: smtp; {_ascii(_folded(reply))}",
        f"Last-Attempt-Date: {format_datetime(now)}",
    ]
    if accepted.scenario.later is Later.DELAYED:
        fields.append(f"Will-Retry-Until: {format_datetime(arrival + timedelta(days=5))}")
    return "\n".join(fields) + "\n"


def _auto_reply(accepted: Accepted, now: datetime) -> bytes:
    headers = _headers_of(accepted.mail.content)
    message_id = _word(headers, "Message-ID")
    top = _addressing(
        accepted, f"<{_ascii(accepted.mail.rcpt_to)}>", f"Out of office: {_word(headers, 'Subject')}", now
    )
    if message_id.isascii() and message_id:
        top += [f"In-Reply-To: {message_id}", f"References: {message_id}"]
    top.append("Content-Type: text/plain; charset=utf-8")
    text = "I am away and will read your mail when I am back.\n"
    return _octets("\n".join(top) + "\n\n" + text)


def _addressing(accepted: Accepted, sender: str, subject: str, now: datetime) -> list[str]:
    return [
        f"From: {sender}",
        f"To: <{accepted.mail.mail_from}>",
        f"Subject: {Header(subject[:LONGEST_SUBJECT], header_name='Subject').encode()}",
        f"Date: {format_datetime(now)}",
        f"Message-ID: {make_msgid(domain=_domain(accepted))}",
        # RFC 3834 section 5: a report is generated, an answer is an answer.
        f"Auto-Submitted: auto-{'replied' if accepted.scenario.later is Later.AUTO_REPLY else 'generated'}",
        "MIME-Version: 1.0",
    ]


def _part(content_type: str, content: bytes) -> bytes:
    return f"Content-Type: {content_type}\r\n\r\n".encode() + content + b"\r\n"


def _original_headers(content: bytes) -> bytes:
    headers = content.partition(b"\r\n\r\n")[0]
    if len(headers) > MOST_HEADERS:
        headers = headers[:MOST_HEADERS].rpartition(b"\r\n")[0]
    return b"".join(line[:LONGEST_LINE] + b"\r\n" for line in headers.split(b"\r\n"))


def _headers_of(content: bytes) -> Message:
    return BytesHeaderParser().parsebytes(_original_headers(content))


def _word(headers: Message, name: str) -> str:
    """A header on one line; "" where there is none."""
    return " ".join(str(headers.get(name, "")).split())


def _domain(accepted: Accepted) -> str:
    return accepted.mail.rcpt_to.rpartition("@")[2].lower()


def _indented(reply: SmtpReply) -> str:
    return "".join(f"    {line}\n" for line in reply.lines)


def _folded(reply: SmtpReply) -> str:
    """All lines of a reply as one field, folded as RFC 5322 section 2.2.3 has it."""
    return "\n ".join(reply.lines)


def _ascii(text: str) -> str:
    """RFC 6533 section 3: other characters as \\x{HEX}."""
    return "".join(letter if letter.isascii() else f"\\x{{{ord(letter):X}}}" for letter in text)


def _octets(text: str) -> bytes:
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
