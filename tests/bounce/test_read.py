"""Reading a mail that came back: its kind, every word about each recipient, and the keys to our own mail."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from telltale.bounce import Kind, read
from telltale.mail.report import Action, Diagnostic, Stage
from telltale.mail.status import EnhancedStatus

FIELDS = """\
Reporting-MTA: dns; mx.lamp.example
Original-Envelope-Id: Kx7-b
Arrival-Date: Mon, 2 Nov 2026 10:00:00 +0000

Final-Recipient: rfc822; ana@lamp.example
Original-Recipient: rfc822;anna@lamp.example
Action: failed
Status: 5.1.1 (no such mailbox)
Remote-MTA: dns; mx.google.sandbox.test (192.0.2.1)
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach
    does not exist. 550 5.1.1 - gsmtp
Last-Attempt-Date: Mon, 2 Nov 2026 10:00:05 +0100
X-Postfix-Queue-ID: 4ABC
"""
RETURNED = "Content-Type: text/rfc822-headers\n\nMessage-ID: <m1@desk.example>\nSubject: Your refund\n"


def report(fields: str = FIELDS, *, returned: str = RETURNED, kind: str = "message/delivery-status") -> bytes:
    return (
        "From: Mail Delivery System <mailer-daemon@lamp.example>\n"
        "To: b-7f3a@desk.example\n"
        "Auto-Submitted: auto-replied\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="B"\n'
        "In-Reply-To: <m1@desk.example>\n"
        "References: <m0@desk.example> <m1@desk.example>\n"
        "\n--B\nContent-Type: text/plain\n\nSorry.\n"
        f"\n--B\nContent-Type: {kind}\n\n{fields}"
        f"\n--B\n{returned}\n--B--\n"
    ).encode()


def recipient(**changes: str) -> str:
    """The fields of one recipient, some of them changed; "" takes one out."""
    fields = {
        "Final-Recipient": "rfc822; ana@lamp.example",
        "Action": "failed",
        "Status": "5.1.1",
        "Diagnostic-Code": "smtp; 550 5.1.1 no",
    }
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "Reporting-MTA: dns; x\n\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_bounce_is_read_field_by_field(line_end):
    returned = read(report().replace(b"\n", line_end))

    [found] = returned.reports
    assert returned.kind is Kind.BOUNCE
    assert found.final_recipient == "ana@lamp.example"
    assert found.original_recipient == "anna@lamp.example"
    assert found.action is Action.FAILED
    assert found.status == EnhancedStatus(5, 1, 1)
    assert found.remote_mta == "mx.google.sandbox.test"
    assert found.last_attempt_date == datetime(2026, 11, 2, 9, 0, 5, tzinfo=UTC)
    assert found.other_fields == (("x-postfix-queue-id", "4ABC"),)
    assert returned.oddities == ()


def test_every_word_of_the_diagnostic_is_kept_and_only_its_folds_are_undone():
    [found] = read(report()).reports

    assert found.diagnostic_code == Diagnostic(
        "smtp", "550-5.1.1 The email account that you tried to reach does not exist. 550 5.1.1 - gsmtp"
    )


def test_the_keys_lead_to_our_own_mail():
    keys = read(report()).keys

    assert keys.original_envelope_id == "Kx7-b"
    assert keys.message_ids == ("<m1@desk.example>",)
    assert keys.references == ("<m1@desk.example>", "<m0@desk.example>")
    assert keys.return_path_to == ("b-7f3a@desk.example",)


@pytest.mark.parametrize(
    "returned",
    [
        RETURNED,
        "Content-Type: message/rfc822\n\nMessage-ID: <m1@desk.example>\n\nHello\n",
        "Content-Type: message/global\n\nMessage-ID: <m1@desk.example>\n\nHello\n",
        "Content-Type: message/global-headers\n\nMessage-ID: <m1@desk.example>\n",
        "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: base64\n\n"
        + base64.b64encode(b"Message-ID: <m1@desk.example>\n").decode(),
    ],
    ids=["headers", "whole", "global", "global headers", "base64"],
)
def test_the_returned_mail_is_known_by_its_message_id(returned):
    assert read(report(returned=returned)).keys.message_ids == ("<m1@desk.example>",)


def test_a_report_in_utf_8_is_read_like_any_other():
    """RFC 6533: message/global-delivery-status, which may be encoded, and addresses outside ASCII."""
    fields = FIELDS.replace("rfc822; ana@", r"utf-8; j\x{FC}rgen@").replace("does not", "существует не")
    encoded = base64.encodebytes(fields.encode()).decode()
    kind = "message/global-delivery-status\nContent-Transfer-Encoding: base64"

    [found] = read(report(encoded, kind=kind)).reports

    assert found.final_recipient == "jürgen@lamp.example"
    assert "существует" in found.diagnostic_code.text


def test_octets_that_are_no_utf_8_stand_as_escapes():
    raw = report(recipient(Diagnostic_Code="smtp; 550 bo@te inconnue")).replace(b"bo@te", b"bo\xeete")

    assert read(raw).reports[0].diagnostic_code.text == r"550 bo\xeete inconnue"


@pytest.mark.parametrize(
    ("actions", "kind"),
    [
        (["failed"], Kind.BOUNCE),
        (["delayed"], Kind.DELAYED),
        (["delivered"], Kind.DELIVERED),
        (["relayed"], Kind.DELIVERED),
        (["expanded"], Kind.DELIVERED),
        (["delivered", "delayed"], Kind.DELAYED),
        (["delivered", "failed", "delayed"], Kind.BOUNCE),
    ],
)
def test_the_gravest_action_makes_the_kind(actions, kind):
    blocks = [f"Final-Recipient: rfc822; a{n}@lamp.example\nAction: {a}\n" for n, a in enumerate(actions)]

    returned = read(report("Reporting-MTA: dns; x\n\n" + "\n".join(blocks)))

    assert returned.kind is kind
    assert [found.action for found in returned.reports] == actions


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("Auto-Submitted: auto-replied (vacation)", Kind.AUTOREPLY),
        ("X-Autoreply: yes", Kind.AUTOREPLY),
        ("Precedence: auto_reply", Kind.AUTOREPLY),
        ("Auto-Submitted: no", Kind.ORDINARY),
        ("Precedence: bulk", Kind.ORDINARY),
        (
            "Content-Type: multipart/report; report-type=disposition-notification; boundary=B",
            Kind.READ_RECEIPT,
        ),
        ("Content-Type: multipart/report; report-type=feedback-report; boundary=B", Kind.COMPLAINT),
        ("X-Nothing: at all", Kind.ORDINARY),
    ],
)
def test_a_mail_that_is_no_delivery_status_has_its_own_kind(header, kind):
    assert read(f"From: ana@lamp.example\n{header}\n\nI am away.\n".encode()).kind is kind


def test_a_bounce_is_a_bounce_though_a_machine_replied():
    assert b"Auto-Submitted: auto-replied" in report()
    assert read(report()).kind is Kind.BOUNCE


def test_a_bounce_that_a_person_forwards_is_no_bounce():
    forwarded = (
        b"From: ana@lamp.example\nContent-Type: multipart/mixed; boundary=F\n\n"
        b"--F\nContent-Type: text/plain\n\nWhat is this?\n"
        b"--F\nContent-Type: message/rfc822\n\n" + report() + b"\n--F--\n"
    )

    assert (read(forwarded).kind, read(forwarded).reports) == (Kind.ORDINARY, ())


@pytest.mark.parametrize(
    ("fields", "expected", "oddity"),
    [
        (recipient(Action="broken"), Action.FAILED, "the status says failed"),
        (recipient(Action="", Original_Recipient="rfc822; x@lamp.example", Status="4.2.2"), Action.DELAYED,
         "the status says delayed"),
        (recipient(Diagnostic_Code="550 5.1.1 no type"), Action.FAILED, "without its type"),
        (recipient(Last_Attempt_Date="yesterday"), Action.FAILED, "'yesterday' is no date"),
    ],
)  # fmt: skip
def test_an_odd_field_does_not_cost_the_report(fields, expected, oddity):
    returned = read(report(fields))

    assert [found.action for found in returned.reports] == [expected]
    assert any(oddity in told for told in returned.oddities)


def test_where_neither_action_nor_status_is_told_the_reply_tells_it():
    returned = read(report(recipient(Action="", Status="", Diagnostic_Code="smtp; 450 4.2.2 full")))

    assert [found.action for found in returned.reports] == [Action.DELAYED]
    assert returned.reports[0].status is None  # a status that nobody wrote is not made up
    assert any("the reply says delayed" in told for told in returned.oddities)


def test_where_the_report_part_tells_no_action_the_notice_tells_it():
    delayed = report(recipient(Action="", Status="", Diagnostic_Code="")).replace(
        b"Sorry.", b"Your mail has not yet been delivered. It will be retried."
    )

    assert [found.action for found in read(delayed).reports] == [Action.DELAYED]


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("rfc822; ana@lamp.example", "ana@lamp.example"),
        ("RFC822;<ana@lamp.example>", "ana@lamp.example"),
        ("ana@lamp.example", "ana@lamp.example"),
        (r"utf-8; \x{110000}@lamp.example", r"\x{110000}@lamp.example"),  # no character: left as it is
        ("rfc822; ana+2Bnews@lamp.example", "ana+news@lamp.example"),  # xtext that nobody has undone
        ("rfc822; ana+2024@lamp.example", "ana+2024@lamp.example"),
        ("rfc822; @relay.example,@mx.example:ana@lamp.example", "ana@lamp.example"),
        ("rfc822; Ana <ana@lamp.example>", "ana@lamp.example"),
        ("rfc822; ana@lamp.example (no such mailbox)", "ana@lamp.example"),
    ],
)
def test_addresses_are_read_as_gateways_write_them(written, address):
    assert read(report(recipient(Final_Recipient=written))).reports[0].final_recipient == address


def deep() -> bytes:
    opened = b"".join(
        b"--%d\nContent-Type: multipart/mixed; boundary=%d\n\n" % (n, n + 1) for n in range(3000)
    )
    return b"Content-Type: multipart/mixed; boundary=0\n\n" + opened


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 100,
        b"Content-Type: multipart/report; report-type=delivery-status",
        b"Content-Type: multipart/report; report-type*0*=\xff''%zz; boundary=B\n\n--B",
        b"Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n!!!!",
        b"Content-Type: text/plain; charset=nonsense\nIn-Reply-To: \xff<a\xff@x>\nTo: ,,,<<>>\n\n\xff",
        b"To: " + b"(" * 2000 + b"\n\n",
        report("Final-Recipient\nAction failed\n: x\n\n\n\n"),
        report()[:300],
        deep(),
    ],
    ids=range(10),
)
def test_nonsense_is_read_without_a_word(raw):
    assert read(raw).kind in Kind


def test_a_report_of_very_many_recipients_is_read_as_far_as_is_sound():
    blocks = [f"Final-Recipient: rfc822; a{n}@lamp.example\nAction: failed\n" for n in range(1200)]

    returned = read(report("Reporting-MTA: dns; x\n\n" + "\n".join(blocks)))

    assert len(returned.reports) == 1000
    assert any("1200 recipients" in told for told in returned.oddities)


@pytest.mark.parametrize(
    ("final", "original"),
    [
        ("prvs=1234abcdef=ana@lamp.example", "ana@lamp.example"),
        ("SRS0=HHH=TT=lamp.example=ana@forwarder.example", "ana@lamp.example"),
        ("SRS1=HHH=one.example==HHH=TT=lamp.example=ana@two.example", "ana@lamp.example"),
        ("ana@lamp.example", ""),
    ],
)
def test_an_address_that_a_server_rewrote_tells_whom_it_stands_for(final, original):
    [found] = read(report(recipient(Final_Recipient=f"rfc822; {final}"))).reports

    assert (found.final_recipient, found.original_recipient) == (final, original)


WORDS_BESIDE = (
    b"The following address failed:\n\n  <ana@lamp.example>: host mx.lamp.example[192.0.2.25] said:\n"
    b"    550 5.2.2 Mailbox full (in reply to RCPT TO command)\n"
)


@pytest.mark.parametrize("diagnostic", ["", "smtp; 550", "smtp; 550 5.2.2"])
def test_words_beside_a_report_part_that_has_none_are_taken(diagnostic):
    raw = report(recipient(Diagnostic_Code=diagnostic)).replace(b"Sorry.\n", WORDS_BESIDE)

    [found] = read(raw).reports
    assert found.diagnostic_code == Diagnostic("smtp", "550 5.2.2 Mailbox full")
    assert found.remote_mta == "mx.lamp.example"
    assert found.stage is Stage.RCPT
    assert found.status == EnhancedStatus(5, 1, 1)  # what the report part says stands


def test_words_of_the_report_part_are_never_replaced():
    [found] = read(report(recipient()).replace(b"Sorry.\n", WORDS_BESIDE)).reports

    assert found.diagnostic_code == Diagnostic("smtp", "550 5.1.1 no")


def test_the_recipient_that_the_report_part_forgot_is_taken_from_the_words():
    raw = report("Reporting-MTA: dns; x\n\nAction: failed\nStatus: 5.2.2\n").replace(
        b"Sorry.\n", WORDS_BESIDE
    )

    assert [found.final_recipient for found in read(raw).reports] == ["ana@lamp.example"]


@pytest.mark.parametrize(
    "broken",
    [
        lambda raw: raw.replace(
            b"\n\nFinal-Recipient", b"\nFinal-Recipient"
        ),  # no empty line between the groups
        lambda raw: raw.replace(b"\nAction:", b"\n\nAction:"),  # and one where none belongs
        lambda raw: raw.replace(b'boundary="B"', b'boundary="another"'),
        lambda raw: raw.replace(b'boundary="B"', b"x=y"),
        lambda raw: raw.replace(b"\n--B--\n", b""),
        lambda raw: raw.replace(b"message/delivery-status", b"text/plain"),
        lambda raw: raw.replace(b"multipart/report; report-type=delivery-status", b"multipart/mixed"),
        lambda raw: b"\n\n" + raw,
        lambda raw: raw.replace(b"\nFinal-Recipient", b"\n  Final-Recipient"),
        lambda raw: raw.replace(b"    does not exist", b"does not exist"),
    ],
    ids=range(10),
)
def test_a_report_with_a_broken_structure_says_the_same(broken):
    [found] = read(broken(report())).reports

    assert found.final_recipient == "ana@lamp.example"
    assert found.action is Action.FAILED
    assert found.status == EnhancedStatus(5, 1, 1)
    assert found.diagnostic_code.text.endswith("does not exist. 550 5.1.1 - gsmtp")


def test_the_report_that_a_gateway_has_wrapped_is_read():
    wrapped = (
        b"From: postmaster@harbour.example\nSubject: Delivery Status Notification (Failure)\n"
        b"Content-Type: multipart/mixed; boundary=W\n\n--W\nContent-Type: text/plain\n\nDelivery has failed.\n"
        b"--W\nContent-Type: message/rfc822\n\n" + report() + b"\n--W--\n"
    )

    assert [found.final_recipient for found in read(wrapped).reports] == ["ana@lamp.example"]


def test_an_encoded_word_is_read_but_not_within_an_address():
    words = "smtp; 550 =?utf-8?q?Postfach_f=C3=BCr?= <=?utf-8?q?x?=@lamp.example> geschlossen"

    [found] = read(report(recipient(Diagnostic_Code=words))).reports

    assert found.diagnostic_code.text == "550 Postfach für <=?utf-8?q?x?=@lamp.example> geschlossen"


@pytest.mark.parametrize(
    ("word", "action"),
    [
        ("failure", Action.FAILED),
        ("Failed (permanently)", Action.FAILED),
        ("expired", Action.FAILED),
        ("undeliverable", Action.FAILED),
        ("deferred", Action.DELAYED),
        ("deliverable", Action.DELIVERED),
    ],
)
def test_other_words_for_an_action_are_understood(word, action):
    assert read(report(recipient(Action=word, Status="5.0.0"))).reports[0].action is action
