"""What kind of mail it is: notices of servers, answers of machines, complaints, receipts, and people."""

from __future__ import annotations

import json

import pytest

from telltale.bounce import Kind, read
from telltale.mail.report import Action


def mail(
    header: str, text: str, *, subject: str = "Your refund", sender: str = "Ana <ana@lamp.example>"
) -> bytes:
    return f"From: {sender}\nTo: support@desk.example\nSubject: {subject}\n{header}\n{text}".encode()


STATUS = "Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; ana@lamp.example\nAction: failed\nStatus: 5.1.1\n"


@pytest.mark.parametrize(
    ("subject", "sender", "text"),
    [
        ("Undeliverable parcel", "Ana <ana@lamp.example>", "My parcel could not be delivered. Where is it?"),
        ("My mail bounced", "Ana <ana@lamp.example>", "I got 550 5.1.1 <x@lamp.example>: no such user. What is wrong?"),
        ("Delivery failed", "Parcels <noreply@parcels.example>", "Your parcel could not be delivered to your address."),
        ("Your account", "Postmaster <postmaster@lamp.example>", "Hello, please send us your new bank details. Ana"),
        ("Re: Undelivered Mail", "Ana <ana@lamp.example>", "Ignore this.\n\n> could not be delivered"),
        ("Fwd: failure notice", "Ana <ana@lamp.example>", "<bob@lamp.example>:\nSorry, no mailbox here by that name."),
        ("AW: Automatische Antwort: Urlaub", "Ana <ana@lamp.example>", "Wann sind Sie wieder da?"),
        ("Please confirm your address", "Shop <noreply@shop.example>", "Click the link below: https://shop.example/x"),
        ("[tracker] Build failed", "CI <ci@code.example>", "The build could not be delivered to the registry."),
    ],
)  # fmt: skip
def test_a_mail_that_only_speaks_of_such_things_is_ordinary(subject, sender, text):
    returned = read(mail("", text, subject=subject, sender=sender))

    assert (returned.kind, returned.reports) == (Kind.ORDINARY, ())


def test_a_newsletter_about_bounces_is_ordinary():
    header = "List-Id: <news.lamp.example>\nList-Unsubscribe: <mailto:x@lamp.example>\n"

    assert (
        read(mail(header, "Why mail could not be delivered: five reasons.", subject="Undeliverable?")).kind
        is Kind.ORDINARY
    )


@pytest.mark.parametrize("kind", ["message/delivery-status", "text/plain", "message/rfc822"])
def test_a_report_that_a_person_attaches_is_no_report(kind):
    raw = mail(
        "Content-Type: multipart/mixed; boundary=B\n",
        f"--B\nContent-Type: text/plain\n\nWhat is this?\n--B\nContent-Type: {kind}\n\n{STATUS}\n--B--\n",
        subject="A strange mail",
    )

    returned = read(raw)

    assert (returned.kind, returned.reports) == (Kind.ORDINARY, ())


def test_a_report_that_a_person_forwards_with_all_its_parts_is_no_report():
    raw = mail(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=B\n",
        "--B\nContent-Type: text/plain\n\nWhat is this?\n"
        f"--B\nContent-Type: message/delivery-status\n\n{STATUS}\n--B--\n",
        subject="Fwd: Undelivered Mail Returned to Sender",
    )

    assert (read(raw).kind, read(raw).reports) == (Kind.ORDINARY, ())


@pytest.mark.parametrize(
    ("header", "subject", "text"),
    [
        ("Auto-Submitted: auto-replied\n", "Your refund", "I am away."),
        ("X-Autorespond: yes\n", "Your refund", "I am away."),
        ("X-Precedence: auto_reply\n", "Your refund", "I am away."),
        ("Auto-Submitted: auto-generated\nX-Auto-Response-Suppress: All\n", "Automatic reply: Your refund", "Away."),
        ("", "Automatische Antwort: Ihre Frage", "Ich bin nicht im Büro."),
        ("", "Réponse automatique : Votre question", "Je suis absente."),
        ("", "Respuesta automática: Su pregunta", "Estoy fuera."),
        ("", "Out of Office: Your refund", "I am away."),
        ("", "Re: Your refund (verification)", "I'm protecting myself from receiving junk mail. https://x.example"),
    ],
)  # fmt: skip
def test_an_answer_of_a_machine_is_an_autoreply(header, subject, text):
    returned = read(mail(header, text, subject=subject))

    assert returned.kind is Kind.AUTOREPLY
    assert returned.evidence


def test_a_wish_to_unsubscribe_is_what_a_person_wants_though_a_program_sends_it():
    header = "Auto-Submitted: auto-replied\nX-Apple-Unsubscribe: true\n"

    assert read(mail(header, "Unsubscribe.", subject="unsubscribe")).kind is Kind.ORDINARY


COMPLAINT = """\
--B
Content-Type: text/plain

This is an email abuse report.
--B
Content-Type: message/feedback-report

Feedback-Type: abuse
Version: 1
{fields}
--B
Content-Type: message/rfc822

From: support@desk.example
To: ana@lamp.example
Message-ID: <m1@desk.example>

Hello
--B--
"""


@pytest.mark.parametrize("fields", ["Original-Rcpt-To: <ana@lamp.example>", "User-Agent: x/1"])
def test_a_complaint_names_whose_mailbox_it_was(fields):
    header = "Content-Type: multipart/report; report-type=feedback-report; boundary=B\n"

    returned = read(mail(header, COMPLAINT.format(fields=fields), sender="fbl@lamp.example"))

    [report] = returned.reports
    assert returned.kind is Kind.COMPLAINT
    assert report.final_recipient == "ana@lamp.example"
    assert report.action is Action.DELIVERED  # otherwise nobody could complain
    assert ("feedback-type", "abuse") in report.other_fields
    assert returned.keys.message_ids == ("<m1@desk.example>",)


def test_a_complaint_of_old_without_a_report_part_is_known_by_its_subject():
    raw = mail(
        "Content-Type: multipart/mixed; boundary=B\n",
        "--B\nContent-Type: message/rfc822\n\nX-HmXmrOriginalRecipient: ana@lamp.example\nSubject: x\n\nHello\n--B--\n",
        subject="complaint about message from 192.0.2.7",
        sender="staff@hotmail.example",
    )

    assert (read(raw).kind, read(raw).reports[0].final_recipient) == (Kind.COMPLAINT, "ana@lamp.example")


def test_a_read_receipt_tells_what_was_done():
    raw = mail(
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=B\n",
        "--B\nContent-Type: text/plain\n\nYour mail was displayed.\n--B\n"
        "Content-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; ana@lamp.example\n"
        "Original-Message-ID: <m1@desk.example>\nDisposition: manual-action/MDN-sent-manually; displayed\n\n--B--\n",
    )

    [report] = read(raw).reports
    assert read(raw).kind is Kind.READ_RECEIPT
    assert report.final_recipient == "ana@lamp.example"
    assert dict(report.other_fields)["disposition"] == "manual-action/MDN-sent-manually; displayed"


def notification(kind: str, **about: object) -> bytes:
    event = {"notificationType": kind, "mail": {"messageId": "m1"}, **about}
    return mail(
        "",
        json.dumps(event) + "\n\n--\nUnsubscribe: https://sns.example/x",
        subject="AWS Notification Message",
    )


@pytest.mark.parametrize(
    ("raw", "kind", "action"),
    [
        (
            notification("Bounce", bounce={"bouncedRecipients": [{
                "emailAddress": "ana@lamp.example", "action": "failed", "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]}),
            Kind.BOUNCE, Action.FAILED,
        ),
        (
            notification("Complaint", complaint={"complainedRecipients": [{"emailAddress": "ana@lamp.example"}]}),
            Kind.COMPLAINT, Action.DELIVERED,
        ),
        (notification("Delivery", delivery={"recipients": ["ana@lamp.example"]}), Kind.DELIVERED, Action.RELAYED),
    ],
    ids=["bounce", "complaint", "delivery"],
)  # fmt: skip
def test_a_notification_of_amazon_ses_that_comes_by_mail_is_read(raw, kind, action):
    returned = read(raw)

    assert returned.kind is kind
    assert [(report.final_recipient, report.action) for report in returned.reports] == [
        ("ana@lamp.example", action)
    ]


@pytest.mark.parametrize("size", [5_000, 200_000])  # the header fields of the mail that bounced come with it
def test_a_notification_is_read_whole_however_long_its_one_line_is(size):
    raw = notification(
        "Bounce",
        mail={"headers": [{"name": "References", "value": "<a@desk.example> " * (size // 17)}]},
        bounce={
            "bouncedRecipients": [{"emailAddress": "ana@lamp.example", "diagnosticCode": "smtp; 550  5.1.1"}]
        },
    )

    [report] = read(raw).reports
    assert (report.final_recipient, report.diagnostic_code.text) == ("ana@lamp.example", "550  5.1.1")


def test_json_in_a_mail_of_anybody_is_ordinary():
    assert read(mail("", '{"mail": 1, "notificationType": ["Bounce"]}')).kind is Kind.ORDINARY


def test_a_notice_that_names_nobody_is_a_bounce_all_the_same():
    raw = mail(
        "Return-Path: <>\n",
        "Your mail could not be delivered.",
        subject="failure notice",
        sender="MAILER-DAEMON@x.example",
    )

    returned = read(raw)

    assert (returned.kind, returned.reports) == (Kind.BOUNCE, ())
    assert returned.oddities == ("a notice that names no recipient",)


def test_neither_the_sender_nor_the_one_who_is_asked_for_help_is_blamed():
    raw = mail(
        "Return-Path: <>\n",
        "Your message could not be delivered to <ana@lamp.example>.\n\nIt was sent by support@desk.example.\n"
        "Please contact postmaster@lamp.example, or call us.\n",
        subject="failure notice",
        sender="MAILER-DAEMON@mx.lamp.example",
    )  # fmt: skip

    assert [report.final_recipient for report in read(raw).reports] == ["ana@lamp.example"]
