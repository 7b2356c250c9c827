"""Mails as they come in: reports of other servers, and what people write."""

from __future__ import annotations

from telltale.channels.email import return_path
from telltale.delivery.models import Delivery

NO_SUCH_USER = "smtp; 550 5.1.1 The email account that you tried to reach does not exist"
MAILBOX = "support@lamp.example"


def way_back(delivery: Delivery) -> str:
    """The signed return path of this delivery."""
    return return_path(delivery.pk, delivery.message.part.conversation.mailbox)


def block(recipient: str, action: str = "failed", status: str = "5.1.1", words: str = NO_SUCH_USER) -> str:
    """What a report says of one recipient."""
    return (
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Remote-MTA: dns; mx.google.sandbox.test\r\nDiagnostic-Code: {words}\r\n"
    )


def report(*blocks: str, returned: str = "<somebody-elses@mail.example>") -> bytes:
    """A delivery status notification with these blocks; `returned` is the Message-ID of the mail it returns."""
    fields = "\r\n".join(["Reporting-MTA: dns; mx.google.sandbox.test\r\n", *blocks])
    return (
        "From: Mail Delivery System <mailer-daemon@google.sandbox.test>\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        f"--b\r\nContent-Type: message/delivery-status\r\n\r\n{fields}"
        f"\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {returned}\r\n\r\n--b--\r\n"
    ).encode()


def report_on(
    delivery: Delivery, action: str = "failed", status: str = "5.1.1", words: str = NO_SUCH_USER
) -> bytes:
    """A report on this delivery, as a server sends it that returns our mail."""
    return report(block(delivery.recipient, action, status, words), returned=delivery.message.message_id)


def letter(
    *,
    sender: str = "Ana Ribeiro <ana@oldworks.example>",
    answers: str = "",
    body: str = "Thank you!",
    more: str = "",
) -> bytes:
    """What a person writes; `answers` is the Message-ID that it answers."""
    answering = f"In-Reply-To: {answers}\r\nReferences: {answers}\r\n" if answers else ""
    return (
        f"From: {sender}\r\nTo: {MAILBOX}\r\nSubject: My lamp\r\nMessage-ID: <new@oldworks.example>\r\n"
        f"{answering}{more}\r\n{body}\r\n"
    ).encode()


def automatic_answer(answers: str = "") -> bytes:
    """An out-of-office note: RFC 3834."""
    return letter(answers=answers, body="I am away.", more="Auto-Submitted: auto-replied\r\n")
