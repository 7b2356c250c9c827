"""What becomes of a stored mail: a report, a customer's message, or a mail that is kept aside with its reason."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from telltale.conversations.actions import StoreError
from telltale.conversations.models import (
    Address,
    Attachment,
    Contact,
    Conversation,
    Mailbox,
    Part,
    Participant,
    RawMail,
)
from telltale.delivery import queue, reports
from telltale.delivery.actions import mark_handled, send_to_another_address, start_conversation
from telltale.delivery.composing import Recipient
from telltale.delivery.models import Delivery, DeliveryNote, Report
from telltale.delivery.states import State
from telltale.inbound import reading
from telltale.inbound import reports as inbound_reports
from telltale.inbound.store import store as keep_for_all
from telltale.inbound.verification import Verification
from telltale.mail.reply_address import sign
from telltale.mail.return_path import LIFETIME
from tests.conftest import answered
from tests.delivery.test_queue import GREYLISTED, answer, claim
from tests.inbound.mails import (
    MAILBOX,
    automatic_answer,
    block,
    letter,
    report,
    report_on,
    way_back,
)

ACCEPTED = "250 2.0.0 Ok: queued as 4Zk9\r\n"
Kind, Closed, Fate = DeliveryNote.Kind, DeliveryNote.Closed, RawMail.Fate


@pytest.fixture
def accepted(reply) -> Delivery:
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, ACCEPTED)
    return delivery


def store(content: bytes, *, to: str) -> RawMail:
    [mail] = keep_for_all(content, door="smtp", mail_from="", recipients=[to], peer="127.0.0.1")
    return mail


def reply_address(conversation: Conversation) -> str:
    return sign(conversation.pk, mailbox=conversation.mailbox.address, key=settings.REPLY_ADDRESS_KEYS[0])


def take(content: bytes, *, to: str) -> RawMail:
    """Store it and read all that waits."""
    mail = store(content, to=to)
    while reading.read_next():
        pass
    mail.refresh_from_db()
    return mail


def take_report(delivery: Delivery, content: bytes) -> RawMail:
    mail = take(content, to=way_back(delivery))
    delivery.refresh_from_db()
    return mail


def notes() -> list[tuple[str, str]]:
    return list(DeliveryNote.objects.order_by("pk").values_list("kind", "closed_how"))


def dead_addresses() -> list[str]:
    return list(Address.objects.exclude(dead_since=None).values_list("email", flat=True))


def messages() -> list[str]:
    """What customers wrote, without the first message of the fixture."""
    written = Part.objects.filter(kind=Part.Kind.CUSTOMER_MESSAGE).order_by("pk")
    return list(written.exclude(body="Could you check?").values_list("body", flat=True))


# Reports that come to the return path that we signed


def test_a_bounce_of_an_accepted_mail_turns_it_and_writes_the_note(accepted, conversation):
    mail = take_report(accepted, report_on(accepted))

    note = DeliveryNote.objects.get()
    conversation.refresh_from_db()
    assert accepted.state == State.FAILED
    assert (note.kind, note.report.source, note.report.proven) == (Kind.FAILED, Report.Source.DSN, True)
    assert note.report.diagnostic_text.startswith("550 5.1.1 The email account")
    assert note.report.returned_mail == mail
    assert conversation.alert == Kind.FAILED
    assert mail.fate == Fate.REPORT
    assert dead_addresses() == ["ana@oldworks.example"]


def test_state_note_and_evidence_come_together_or_not_at_all(accepted, monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("the database went away")

    content = report_on(accepted)
    with monkeypatch.context() as broken:
        broken.setattr(reports, "write_note", fail)
        with pytest.raises(OperationalError):
            take_report(accepted, content)

    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED
    assert not Report.objects.filter(source=Report.Source.DSN).exists()
    assert RawMail.objects.get().fate == Fate.WAITING

    assert reading.read_next()
    accepted.refresh_from_db()
    assert accepted.state == State.FAILED
    assert notes() == [(Kind.FAILED, "")]


def test_the_same_bounce_twice_is_one_note_with_both_as_evidence(accepted):
    for _ in range(2):
        take_report(accepted, report_on(accepted))

    assert notes() == [(Kind.FAILED, "")]
    assert Report.objects.filter(source=Report.Source.DSN).count() == 2


def test_a_bounce_that_comes_again_does_not_undo_what_was_handled(accepted, agent):
    take_report(accepted, report_on(accepted))
    mark_handled(DeliveryNote.objects.get(), agent=agent)

    take_report(accepted, report_on(accepted))

    assert notes() == [(Kind.FAILED, Closed.HANDLED)]


def test_a_bounce_that_is_quicker_than_our_own_record_of_the_try_is_not_lost(reply):
    [delivery] = reply("ana@oldworks.example")
    [claimed] = claim()
    take_report(delivery, report_on(delivery))

    queue.record_result(claimed.attempt_id, answered(ACCEPTED, recipient=delivery.recipient))

    delivery.refresh_from_db()
    assert delivery.state == State.FAILED
    assert notes() == [(Kind.FAILED, "")]


def test_a_warning_turns_the_delivery_amber_and_the_next_report_settles_it(accepted, conversation):
    warning = report_on(accepted, "delayed", "4.4.1", "smtp; 421 4.4.1 Connection timed out")
    for _ in range(2):
        take_report(accepted, warning)

    conversation.refresh_from_db()
    assert accepted.state == State.ACCEPTED
    assert conversation.alert == Kind.DELAYED
    assert notes() == [(Kind.DELAYED, "")]

    take_report(accepted, report_on(accepted))
    assert accepted.state == State.FAILED
    assert notes() == [(Kind.DELAYED, Closed.OVERTAKEN), (Kind.FAILED, "")]


def test_a_report_of_success_makes_it_delivered_and_closes_the_note(accepted, conversation):
    take_report(accepted, report_on(accepted, "delayed", "4.4.1"))

    take_report(accepted, report_on(accepted, "delivered", "2.0.0", "smtp; 250 Ok"))

    conversation.refresh_from_db()
    assert accepted.state == State.DELIVERED
    assert conversation.alert == ""
    assert notes() == [(Kind.DELAYED, Closed.DELIVERED)]


@pytest.mark.parametrize("action", ["relayed", "expanded"])
def test_what_went_on_to_where_no_reports_come_from_is_not_called_delivered(accepted, action):
    assert take_report(accepted, report_on(accepted, action, "2.0.0")).fate == Fate.REPORT

    assert accepted.state == State.ACCEPTED
    assert notes() == []


def test_a_forwarders_bounce_is_told_and_the_address_that_forwards_is_not_called_dead(accepted):
    """It names the address behind the mailbox and returns our own mail."""
    mail = take_report(accepted, report(block("ana@elsewhere.example"), returned=accepted.message.message_id))

    assert (mail.fate, accepted.state) == (Fate.REPORT, State.FAILED)
    assert DeliveryNote.objects.get().report.final_recipient == "ana@elsewhere.example"
    assert dead_addresses() == []


def test_a_report_on_somebody_else_is_kept_aside_and_said(accepted, conversation):
    Address.objects.create(contact=conversation.contact, email="boss@lamp.example")

    mail = take_report(accepted, report(block("boss@lamp.example")))

    assert mail.fate == Fate.QUARANTINED
    assert "reports on boss@lamp.example, not on ana@oldworks.example" in mail.fate_reason
    assert accepted.state == State.ACCEPTED
    assert not Report.objects.filter(source=Report.Source.DSN).exists()
    assert dead_addresses() == notes() == []
    assert "does not fit this delivery" in conversation.parts.filter(kind=Part.Kind.EVENT).get().body


@pytest.mark.parametrize("failure_first", [True, False])
def test_of_a_report_on_several_recipients_no_failure_is_lost(accepted, failure_first):
    blocks = [
        block("a@elsewhere.example"),
        block("b@elsewhere.example", "delivered", "2.0.0", "smtp; 250 Ok"),
    ]

    take_report(
        accepted,
        report(*(blocks if failure_first else blocks[::-1]), returned=accepted.message.message_id),
    )

    assert accepted.state == State.FAILED
    assert notes() == [(Kind.FAILED, "")]
    assert Report.objects.filter(source=Report.Source.DSN).count() == 2


def test_a_report_with_the_strangest_words_is_recorded_whole(accepted):
    words = "smtp; 550 5.1.1 nul \0 escape \x1b[31m <script>alert(1)</script> \u202e" + "x" * 50_000
    fields = block(accepted.recipient, words=words) + f"X-Odd\0: \0{'y' * 5_000}\r\n"

    mail = take_report(accepted, report(fields))

    stored = Report.objects.get(source=Report.Source.DSN)
    assert (mail.fate, accepted.state) == (Fate.REPORT, State.FAILED)
    assert "nul \\x00 escape \x1b[31m <script>alert(1)</script>" in stored.diagnostic_text
    assert len(stored.diagnostic_text) > 50_000


def test_fields_that_are_too_long_for_their_columns_stop_nothing(accepted):
    long_one = f"{'a' * 2_000}@oldworks.example"
    fields = block(long_one, words=f"{'x' * 300}; 550 no").replace("mx.google", "m" * 1_000)

    mail = take_report(accepted, report(fields, returned=accepted.message.message_id))

    assert (mail.fate, accepted.state) == (Fate.REPORT, State.FAILED)


def test_a_bounce_in_prose_that_comes_to_the_return_path_is_not_silent(accepted, conversation):
    take_report(accepted, letter(sender="MAILER-DAEMON@old.example", body="I could not deliver it."))

    happened = conversation.parts.exclude(kind__in=[Part.Kind.CUSTOMER_MESSAGE, Part.Kind.REPLY])
    assert happened.exists()
    assert messages() == []


def test_an_automatic_answer_to_the_return_path_is_told_and_opens_nothing(accepted, conversation):
    Conversation.objects.update(state=Conversation.State.CLOSED)

    take_report(accepted, automatic_answer(accepted.message.message_id))

    conversation.refresh_from_db()
    assert (accepted.state, conversation.state) == (State.ACCEPTED, Conversation.State.CLOSED)
    assert "An automatic answer came back" in conversation.parts.get(kind=Part.Kind.EVENT).body
    assert messages() == notes() == []
    assert Delivery.objects.count() == 1  # nothing was sent in answer


def test_a_return_path_that_expired_while_its_mail_waited_proves_nothing_any_more(accepted, monkeypatch):
    mail = store(report_on(accepted), to=way_back(accepted))
    later = timezone.now() + LIFETIME + timedelta(days=1)
    monkeypatch.setattr(inbound_reports.timezone, "now", lambda: later)

    assert reading.read_next()

    mail.refresh_from_db()
    accepted.refresh_from_db()
    assert (mail.fate, accepted.state) == (Fate.QUARANTINED, State.ACCEPTED)
    assert "it has expired" in mail.fate_reason


def test_a_report_on_a_delivery_that_is_gone_is_kept_aside(accepted):
    mail = store(report_on(accepted), to=way_back(accepted))
    DeliveryNote.objects.all().delete()
    accepted.delete()

    assert reading.read_next()

    mail.refresh_from_db()
    assert (mail.fate, mail.fate_reason) == (
        Fate.QUARANTINED,
        "the delivery that its return path names is gone",
    )


# Reports that anybody can make


def test_a_report_to_our_public_address_that_encloses_our_mail_is_told_as_not_proven(accepted):
    """Where an account's provider writes its own return path; somebody who was sent the mail could have made it."""
    mail = take(report_on(accepted), to=MAILBOX)

    accepted.refresh_from_db()
    assert (mail.fate, mail.fate_reason) == (Fate.REPORT, f"delivery {accepted.pk}: bounce, not proven")
    assert accepted.state == State.FAILED
    assert len(notes()) == 1
    assert dead_addresses() == []
    assert not Report.objects.get(returned_mail=mail).proven


def test_a_report_that_only_knows_the_address_changes_nothing(accepted):
    mail = take(report(block(accepted.recipient)), to=MAILBOX)

    accepted.refresh_from_db()
    assert (mail.fate, mail.fate_reason) == (
        Fate.QUARANTINED,
        "a report of a failure that matches no reply of ours",
    )
    assert accepted.state == State.ACCEPTED
    assert notes() == []


def test_a_report_that_encloses_our_mail_and_names_a_stranger_changes_nothing(accepted):
    mail = take(report(block("eve@evil.example"), returned=accepted.message.message_id), to=MAILBOX)

    accepted.refresh_from_db()
    assert (mail.fate, accepted.state) == (Fate.QUARANTINED, State.ACCEPTED)


def test_an_unproven_success_silences_nothing(accepted):
    """Somebody in copy knows the Message-ID, and could say that the others were reached."""
    mail = take(report_on(accepted, "delivered", "2.1.5", "smtp; 250 2.1.5 Ok"), to=MAILBOX)

    accepted.refresh_from_db()
    assert (mail.fate, accepted.state) == (Fate.QUARANTINED, State.ACCEPTED)


def complaint(delivery: Delivery, *, names: str = "") -> bytes:
    """RFC 5965, as providers send it to who runs the desk; many leave out who complained."""
    named = f"Original-Rcpt-To: <{names}>\r\n" if names else ""
    return (
        "From: feedback@provider.example\r\nSubject: Abuse report\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n{named}\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: {delivery.message.message_id}\r\n\r\nx\r\n--b--\r\n"
    ).encode()


@pytest.mark.parametrize("is_named", [True, False])
def test_a_complaint_marks_the_address_and_is_told_quietly(accepted, is_named):
    Conversation.objects.update(state=Conversation.State.CLOSED)
    mail = take(complaint(accepted, names=accepted.recipient if is_named else ""), to=MAILBOX)

    accepted.refresh_from_db()
    conversation = Conversation.objects.get()
    assert (mail.fate, mail.fate_reason) == (Fate.REPORT, f"delivery {accepted.pk}: complaint, not proven")
    assert Address.objects.get(email=accepted.recipient).complained_at is not None
    assert conversation.parts.last().body.startswith("A complaint came back: this reply was called spam")
    assert (accepted.state, conversation.state, conversation.alert) == (State.ACCEPTED, "closed", "")


def test_a_complaint_to_a_signed_return_path_marks_the_address_too(accepted):
    take(complaint(accepted), to=way_back(accepted))

    assert Address.objects.get(email=accepted.recipient).complained_at is not None


def test_a_complaint_about_somebody_elses_mail_changes_nothing(accepted):
    content = complaint(accepted).replace(accepted.message.message_id.encode(), b"<x@elsewhere.example>")

    assert take(content, to=MAILBOX).fate_reason == "a complaint that matches no reply of ours"
    assert Address.objects.get(email=accepted.recipient).complained_at is None


def with_envelope_id(envelope_id: str, content: bytes) -> bytes:
    """The same report, from a server that names the envelope id of the mail."""
    field = f"Original-Envelope-Id: {envelope_id}\r\n".encode()
    return content.replace(b"Reporting-MTA:", field + b"Reporting-MTA:", 1)


def test_behind_a_relay_that_rewrites_the_return_path_the_envelope_id_proves_the_report(accepted):
    envelope_id = way_back(accepted).partition("@")[0]

    mail = take(with_envelope_id(envelope_id, report_on(accepted)), to=MAILBOX)

    accepted.refresh_from_db()
    assert mail.fate == Fate.REPORT
    assert accepted.state == State.FAILED
    assert Report.objects.get(source="dsn").proven
    assert notes() == [(Kind.FAILED, "")]


def test_an_envelope_id_that_we_did_not_sign_proves_nothing(accepted):
    envelope_id = way_back(accepted).partition("@")[0]
    forged = envelope_id[:-1] + ("a" if envelope_id[-1] != "a" else "b")

    mail = take(with_envelope_id(forged, report_on(accepted)), to=MAILBOX)

    accepted.refresh_from_db()
    assert (mail.fate, accepted.state) == (Fate.QUARANTINED, State.ACCEPTED)
    assert mail.fate_reason == "its envelope id is none of ours: its signature is wrong"
    assert notes() == []


def test_a_person_who_quotes_an_envelope_id_is_a_person(accepted):
    envelope_id = way_back(accepted).partition("@")[0]

    take(letter(body=f"What is this? Original-Envelope-Id: {envelope_id}"), to=MAILBOX)

    accepted.refresh_from_db()
    assert accepted.state == State.ACCEPTED


@pytest.mark.parametrize(
    "content",
    [
        report(block("ana@oldworks.example")),
        report(block("ana@oldworks.example", "delayed", "4.4.1")),
        report(block("ana@oldworks.example", "delivered", "2.0.0")),
        automatic_answer("<somebody-elses@mail.example>"),
        letter(more="Content-Type: multipart/report; report-type=disposition-notification; boundary=x\r\n"),
        letter(more="Content-Type: multipart/report; report-type=feedback-report; boundary=x\r\n"),
    ],
)
def test_what_no_person_wrote_opens_no_conversation_and_makes_no_contact(conversation, content):
    Conversation.objects.update(state=Conversation.State.CLOSED)

    mail = take(content, to=MAILBOX)

    assert mail.fate == Fate.QUARANTINED
    assert mail.fate_reason.endswith("of ours")
    assert Conversation.objects.get().state == Conversation.State.CLOSED
    assert (Contact.objects.count(), messages()) == (1, [])


@pytest.mark.parametrize("state", [Conversation.State.OPEN, Conversation.State.CLOSED])
def test_an_automatic_answer_to_the_mailbox_is_told_in_its_conversation_and_opens_nothing(
    accepted, conversation, state
):
    Conversation.objects.update(state=state)

    mail = take(automatic_answer(accepted.message.message_id), to=MAILBOX)

    conversation.refresh_from_db()
    told = conversation.parts.get(kind=Part.Kind.EVENT)
    assert told.body == "An automatic answer came from ana@oldworks.example: “My lamp”"
    assert told.raw_mail == mail
    assert (mail.fate, conversation.state) == (Fate.REPORT, state)
    assert messages() == notes() == []
    assert Delivery.objects.count() == 1  # nothing was sent in answer


def test_an_automatic_answer_to_a_signed_reply_address_is_told_there(conversation):
    take(automatic_answer(), to=reply_address(conversation))

    assert "An automatic answer came" in conversation.parts.get(kind=Part.Kind.EVENT).body


def test_a_strangers_automatic_answer_with_a_copied_id_is_told_nowhere(accepted):
    content = automatic_answer(accepted.message.message_id).replace(b"ana@", b"eve@")

    assert take(content, to=MAILBOX).fate == Fate.QUARANTINED
    assert not Part.objects.filter(kind=Part.Kind.EVENT).exists()


def test_a_person_who_forwards_a_bounce_is_a_person(accepted):
    forwarded = report_on(accepted).decode()
    body = f"--x\r\n\r\nWhat is this?\r\n--x\r\nContent-Type: message/rfc822\r\n\r\n{forwarded}\r\n--x--"

    mail = take(
        letter(sender="jo@x.example", more="Content-Type: multipart/mixed; boundary=x\r\n", body=body),
        to=MAILBOX,
    )

    accepted.refresh_from_db()
    assert (mail.fate, accepted.state) == (Fate.MESSAGE, State.ACCEPTED)
    assert messages() == ["What is this?"]


# What people write


def test_a_new_mail_opens_a_conversation_with_a_new_contact(mailbox):
    mail = take(letter(), to="SUPPORT@lamp.example")

    conversation = Conversation.objects.get()
    part = conversation.parts.get()
    assert (conversation.subject, conversation.mailbox, str(conversation.contact)) == (
        "My lamp",
        mailbox,
        "Ana Ribeiro",
    )
    assert (part.body, part.from_address, part.message_id, part.raw_mail) == (
        "Thank you!",
        "ana@oldworks.example",
        "<new@oldworks.example>",
        mail,
    )
    assert conversation.contact.addresses.get().last_heard_at
    assert (mail.fate, mail.fate_reason) == (Fate.MESSAGE, f"conversation {conversation.pk}")


def test_a_second_mail_of_the_same_person_is_a_conversation_of_the_same_contact(conversation):
    take(letter(sender="ANA@oldworks.example"), to=MAILBOX)

    assert Conversation.objects.count() == 2
    assert Contact.objects.count() == 1


@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
def test_an_answer_goes_into_its_conversation_and_opens_it_again(accepted, conversation, header):
    Conversation.objects.update(state=Conversation.State.CLOSED)
    answers = f"{header}: <unknown@x.example> {accepted.message.message_id}\r\n"

    take(letter(more=answers), to=MAILBOX)

    conversation.refresh_from_db()
    assert conversation.parts.last().body == "Thank you!"
    assert conversation.state == Conversation.State.OPEN
    assert Conversation.objects.count() == 1


def test_an_answer_is_a_sign_of_life_of_its_address(accepted):
    take_report(accepted, report_on(accepted))
    assert dead_addresses() == ["ana@oldworks.example"]

    take(letter(answers=accepted.message.message_id), to=MAILBOX)

    assert dead_addresses() == []


def test_somebody_in_copy_may_answer_and_becomes_a_contact(reply, conversation):
    _, copy = reply("ana@oldworks.example", "finance@ribeiro.example")

    take(letter(sender="finance@ribeiro.example", answers=copy.message.message_id), to=MAILBOX)

    assert conversation.parts.last().from_address == "finance@ribeiro.example"
    assert Conversation.objects.count() == 1


def test_an_answer_to_the_signed_reply_address_needs_no_header_field(conversation):
    """From a phone at another address, in a client that drops References: it still finds its thread."""
    take(letter(sender="ana@private.example"), to=reply_address(conversation))

    assert Conversation.objects.count() == 1
    assert conversation.parts.last().from_address == "ana@private.example"


def test_a_reply_address_of_a_conversation_that_is_gone_opens_a_new_one(conversation):
    address = reply_address(conversation)
    conversation.delete()

    assert take(letter(), to=address).fate == Fate.MESSAGE
    assert Conversation.objects.count() == 1


def test_an_answer_to_the_mail_that_went_to_another_address_finds_its_conversation(mailbox, agent):
    """That mail has an id of its own, and in a conversation that we began it names no earlier one."""
    part = start_conversation(
        mailbox=mailbox,
        agent=agent,
        recipients=[Recipient(Delivery.Role.TO, "ana@oldworks.example")],
        subject="Your lamp",
        body="It is ready.",
        key=Part._meta.get_field("key").get_default(),
    )
    delivery = Delivery.objects.get()
    answer(delivery, "550 5.1.1 No such user\r\n")
    other = send_to_another_address(delivery, agent=agent, address="ana@gmail.example")

    take(letter(sender="ana@gmail.example", answers=other.message.message_id), to=MAILBOX)

    assert part.conversation.parts.last().body == "Thank you!"


def test_a_stranger_with_a_copied_id_does_not_get_into_the_conversation_of_another(accepted, conversation):
    take(letter(sender="Ana Ribeiro <eve@evil.example>", answers=accepted.message.message_id), to=MAILBOX)

    assert "Thank you!" not in conversation.parts.values_list("body", flat=True)
    assert Conversation.objects.exclude(pk=conversation.pk).get().contact.name == "Ana Ribeiro"
    assert not conversation.contact.addresses.filter(email="eve@evil.example").exists()


def test_of_several_conversations_that_a_mail_names_it_goes_into_that_of_its_writer(accepted, conversation):
    take(letter(sender="jo@x.example"), to=MAILBOX)  # another conversation, and a newer one
    ids = f"References: {accepted.message.message_id} <new@oldworks.example>\r\n"

    take(letter(more=ids, body="Mine is the older one"), to=MAILBOX)

    assert conversation.parts.last().body == "Mine is the older one"


def test_a_mail_to_several_mailboxes_is_kept_for_each(mailbox):
    Mailbox.objects.create(name="Billing", address="billing@lamp.example")
    people = [MAILBOX, "billing@lamp.example", "Billing@Lamp.example"]

    kept = keep_for_all(letter(), door="smtp", mail_from="", recipients=people, peer="")

    assert [mail.rcpt_to.lower() for mail in kept] == [MAILBOX, "billing@lamp.example"]


def test_a_mailbox_that_was_taken_away_meanwhile_loses_no_mail(mailbox):
    mail = store(letter(), to=MAILBOX)
    mailbox.delete()

    assert reading.read_next()

    mail.refresh_from_db()
    assert (mail.fate, mail.fate_reason) == (Fate.QUARANTINED, "its mailbox is gone")


# Whatever comes in


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"\0" * 1_000,
        b"\xff" * 1_000,
        b"no header at all",
        b"From: \r\n\r\n",
        b"From: nobody\r\n\r\nHello",
        b"From: " + b"a" * 400 + b"@x.example\r\n\r\nHello",
        b"From: a@x.example, b@x.example\r\nSubject: \xff\xfe\0\r\n\r\n\xff\xfe\0",
        b"From: a@x.example\r\nMessage-ID: <\0\xff@x>\r\nIn-Reply-To: <\0>\r\n\r\n\0",
        b"From: a@x.example\r\nContent-Type: text/plain; charset=\0\r\n\r\nHello",
        b"From: a@x.example\r\nContent-Type: multipart/mixed\r\n\r\nHello",
        b"From: a@x.example\r\nContent-Type: text/html\r\n\r\n<![" + b"<!--" * 50_000,
        b"From: a@x.example\r\nSubject: " + b"x" * 100_000 + b"\r\n\r\nHello",
        b"From: a@x.example\r\n" + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 2_000,
        report("Action: failed\r\n"),
        report("Final-Recipient: rfc822;\r\nAction: nonsense\r\n"),
        report(block("\0@\xff")),
    ],
)
def test_garbage_is_read_or_kept_aside_and_stops_nothing(mailbox, accepted, content):
    for to in (MAILBOX, way_back(accepted)):
        assert take(content, to=to).fate != Fate.WAITING

    assert take(letter(body="After the garbage"), to=MAILBOX).fate == Fate.MESSAGE


def test_a_mail_that_we_fail_at_is_kept_aside_with_our_fault_and_the_next_one_is_read(mailbox, caplog):
    lost = store(letter(), to=MAILBOX)
    Path(lost.content.path).unlink()

    after = take(letter(), to=MAILBOX)

    lost.refresh_from_db()
    assert lost.fate == Fate.FAULT
    assert lost.fate_reason.startswith("our own fault: FileNotFoundError")
    assert after.fate == Fate.MESSAGE
    assert f"could not read the stored mail {lost.pk}" in caplog.text


def test_mails_are_read_in_the_order_in_which_they_came(mailbox):
    for number in range(3):
        store(letter(sender=f"{number}@x.example", body=str(number)), to=MAILBOX)

    while reading.read_next():
        pass

    assert messages() == ["0", "1", "2"]
    assert not reading.read_next()


def test_nothing_is_sent_in_answer_to_anything(accepted):
    for content in (report_on(accepted), automatic_answer(), letter()):
        take(content, to=MAILBOX)

    assert Delivery.objects.count() == 1


def test_a_delayed_delivery_of_our_own_is_not_moved_by_a_strangers_warning(reply):
    [delivery] = reply("ana@oldworks.example")
    answer(delivery, GREYLISTED)

    take_report(delivery, report_on(delivery, "delayed", "4.4.1"))

    assert delivery.state == State.DELAYED
    assert notes() == [(Kind.DELAYED, "")]


# Files of customers

WITH_A_FILE = (
    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain\r\n\r\nLook at this.\r\n"
    "--b\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=lamp.png\r\n\r\npicture\r\n--b--\r\n"
)


def test_the_files_of_a_customer_are_kept_with_the_message(conversation):
    mail = take(letter(body="", more=WITH_A_FILE), to=MAILBOX)

    [file] = Attachment.objects.all()
    assert mail.fate == Fate.MESSAGE
    assert (file.name, file.content_type, file.size) == ("lamp.png", "image/png", 7)
    assert file.part.body == "Look at this."
    with file.file.open("rb") as stored:
        assert stored.read() == b"picture"


def test_a_mail_whose_files_find_no_room_waits_until_they_do(conversation, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    mail = store(letter(body="", more=WITH_A_FILE), to=MAILBOX)
    with monkeypatch.context() as broken:
        broken.setattr(Attachment._meta.get_field("file").storage, "save", full)
        with pytest.raises(StoreError, match="No space left"):
            reading.read_next()
    mail.refresh_from_db()
    assert mail.fate == Fate.WAITING
    assert messages() == []

    assert reading.read_next()
    assert messages() == ["Look at this."]


def test_what_is_left_of_files_that_found_no_room_does_not_fill_the_disk(conversation, monkeypatch):
    storage = Attachment._meta.get_field("file").storage
    stored, save = [], storage.save

    def full_at_the_second(name, content, **kwargs):
        if stored:
            raise OSError(errno.ENOSPC, "No space left on device")
        stored.append(save(name, content, **kwargs))
        return stored[0]

    two = WITH_A_FILE.replace("--b--", "--b\r\nContent-Type: image/png\r\n\r\nsecond\r\n--b--")
    store(letter(body="", more=two), to=MAILBOX)
    monkeypatch.setattr(storage, "save", full_at_the_second)
    with pytest.raises(StoreError):
        reading.read_next()

    assert stored
    assert not storage.exists(stored[0])


# The same mail twice


def test_a_mail_whose_sender_never_heard_our_yes_and_sent_it_again_is_one_message(conversation):
    first = take(letter(body="", more=WITH_A_FILE), to=MAILBOX)
    second = take(b"Received: by another.example\r\n" + letter(body="", more=WITH_A_FILE), to=MAILBOX)

    part = Part.objects.get(raw_mail=first)
    assert messages() == ["Look at this."]
    assert (second.fate, second.fate_reason) == (
        Fate.MESSAGE,
        f"conversation {part.conversation_id}: came before, as part {part.pk}",
    )


@pytest.mark.parametrize(
    "other",
    [
        letter(body="Something else."),
        letter(sender="jo@x.example"),
        letter(body="", more=WITH_A_FILE),
        letter(body="", more=WITH_A_FILE.replace("picture\r\n--b--", "b picture\r\n--b--")),
        letter(more="Date: Sun, 29 Nov 2026 08:00:00 +0000\r\n"),  # a device: the same alarm, a day later
    ],
)
def test_another_mail_with_the_same_message_id_is_another_message(conversation, other):
    take(letter(), to=MAILBOX)
    take(letter(body="", more=WITH_A_FILE.replace("picture\r\n--b--", "a picture\r\n--b--")), to=MAILBOX)
    before = len(messages())

    take(other, to=MAILBOX)

    assert len(messages()) == before + 1


def test_mails_without_a_message_id_are_each_a_message(conversation):
    for _ in range(2):
        take(letter().replace(b"Message-ID: <new@oldworks.example>\r\n", b""), to=MAILBOX)

    assert len(messages()) == 2


# Who takes part


def participants() -> set[str]:
    return set(Participant.objects.values_list("email", flat=True))


def copied(*addresses: str, **how: str) -> bytes:
    """A letter with these in copy."""
    return letter(more=f"Cc: {', '.join(addresses)}\r\n", **how)


def test_people_in_copy_take_part_and_we_ourselves_do_not(mailbox):
    signed = sign(5, mailbox=MAILBOX, key=settings.REPLY_ADDRESS_KEYS[0])
    take(
        copied("Ben <ben@oldworks.example>", signed, "ANA@oldworks.example", "BEN@oldworks.example"),
        to=MAILBOX,
    )

    assert participants() == {"ben@oldworks.example"}
    assert Participant.objects.get().name == "Ben"


def test_somebody_in_copy_answers_into_the_conversation(accepted):
    answers = accepted.message.message_id
    take(copied("ben@oldworks.example", answers=answers), to=MAILBOX)

    take(letter(sender="Ben <ben@oldworks.example>", answers=answers, body="I agree."), to=MAILBOX)

    part = Part.objects.get(body="I agree.")
    assert (part.conversation, part.from_address) == (
        accepted.message.part.conversation,
        "ben@oldworks.example",
    )
    assert participants() == {"ben@oldworks.example"}


def test_a_stranger_with_a_copied_id_gets_into_no_conversation_and_takes_part_in_none(accepted):
    take(letter(sender="eve@evil.example", answers=accepted.message.message_id, body="hello"), to=MAILBOX)

    part = Part.objects.get(body="hello")
    assert part.conversation != accepted.message.part.conversation
    assert participants() == set()


def test_who_answers_to_the_signed_address_takes_part(accepted):
    conversation = accepted.message.part.conversation
    to = sign(conversation.pk, mailbox=MAILBOX, key=settings.REPLY_ADDRESS_KEYS[0])

    take(letter(sender="Cleo <cleo@oldworks.example>", body="For Ana"), to=to)

    assert Part.objects.get(body="For Ana").conversation == conversation
    assert participants() == {"cleo@oldworks.example"}


def test_a_mail_to_hundreds_is_no_conversation_with_all_of_them(mailbox):
    take(copied(*(f"p{number}@oldworks.example" for number in range(200))), to=MAILBOX)

    assert len(participants()) == 50


# A conversation that was closed long ago


@pytest.mark.parametrize(("days", "is_new"), [(None, False), (30, True), (90, False)])
def test_an_answer_to_what_was_closed_long_ago_begins_anew_where_the_mailbox_wants_that(
    accepted, days, is_new
):
    Mailbox.objects.update(new_after_days=days)
    old = accepted.message.part.conversation
    sixty_days_ago = timezone.now() - timedelta(days=60)
    Conversation.objects.update(state=Conversation.State.CLOSED, updated_at=sixty_days_ago)

    take(letter(answers=accepted.message.message_id, body="Once more"), to=MAILBOX)

    conversation = Part.objects.get(body="Once more").conversation
    assert (conversation != old) == is_new
    assert conversation.continues == (old if is_new else None)
    old.refresh_from_db()
    assert old.state == ("closed" if is_new else "open")


def test_what_is_open_goes_on_however_old_it_is(accepted):
    Mailbox.objects.update(new_after_days=1)
    Conversation.objects.update(updated_at=timezone.now() - timedelta(days=60))

    take(letter(answers=accepted.message.message_id), to=MAILBOX)

    assert Conversation.objects.count() == 1


# What the desk says by itself


ACKNOWLEDGEMENT = "Thank you, we have your mail and answer within a day."


@pytest.fixture
def acknowledging(mailbox) -> Mailbox:
    Mailbox.objects.update(acknowledgement=ACKNOWLEDGEMENT)
    mailbox.refresh_from_db()
    return mailbox


def take_from(content: bytes, *, mail_from: str = "ana@oldworks.example", **kept: object) -> RawMail:
    """A mail with this reverse-path."""
    [mail] = keep_for_all(
        content, door="smtp", mail_from=mail_from, recipients=[MAILBOX], peer="127.0.0.1", **kept
    )
    assert reading.read_next()
    mail.refresh_from_db()
    return mail


def acknowledged() -> list[str]:
    sent = Delivery.objects.filter(message__part__kind=Part.Kind.ACKNOWLEDGEMENT)
    return list(sent.values_list("recipient", flat=True))


def test_who_begins_a_conversation_is_told_that_it_arrived(acknowledging):
    take_from(letter())

    assert acknowledged() == ["ana@oldworks.example"]
    message = Delivery.objects.get().message
    with message.content.open("rb") as file:
        content = file.read().decode()
    assert "Auto-Submitted: auto-replied" in content
    assert "In-Reply-To: <new@oldworks.example>" in content
    assert ACKNOWLEDGEMENT in content
    assert Conversation.objects.get().peek == "Thank you!"


def test_nobody_is_told_twice_within_a_day_nor_in_a_conversation_that_goes_on(acknowledging):
    take_from(letter())
    take_from(letter(body="And another thing").replace(b"<new@", b"<second@"))
    answers = Part.objects.get(kind=Part.Kind.ACKNOWLEDGEMENT).message_id
    take_from(letter(answers=answers, body="Thanks").replace(b"<new@", b"<third@"))

    assert acknowledged() == ["ana@oldworks.example"]
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=1, minutes=1))
    take_from(letter(body="A week later").replace(b"<new@", b"<fourth@"))
    assert len(acknowledged()) == 2


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        (letter(), {"mail_from": ""}),
        (letter(more="List-Id: <x.lists.example>\r\n"), {}),
        (letter(sender="no-reply@oldworks.example"), {}),
        (letter().replace(f"To: {MAILBOX}".encode(), b"To: talk@lists.example"), {}),
        (letter(), {"verification": Verification("fail", "nobody stands behind it")}),
    ],
)
def test_lists_machines_and_borrowed_names_are_told_nothing(acknowledging, content, kept):
    assert take_from(content, **kept).fate == Fate.MESSAGE
    assert acknowledged() == []


def test_without_words_nothing_is_sent(mailbox):
    take_from(letter())

    assert acknowledged() == []


def test_a_flood_of_one_sender_waits_in_quarantine(mailbox, monkeypatch):
    monkeypatch.setattr(reading, "MOST_PER_HOUR", 3)
    fates = [take_from(letter().replace(b"<new@", f"<n{number}@".encode())).fate for number in range(5)]

    assert fates == [Fate.MESSAGE] * 3 + [Fate.QUARANTINED] * 2
    [told] = Part.objects.filter(kind=Part.Kind.EVENT)
    assert told.body.startswith("From ana@oldworks.example come more than")
    other = letter(sender="ben@oldworks.example").replace(b"<new@", b"<ben@")
    assert take_from(other, mail_from="ben@oldworks.example").fate == Fate.MESSAGE


def test_an_out_of_office_note_says_when_somebody_is_back_and_its_words_are_folded(accepted):
    away = letter(body="I am away until 2099-01-01.", more="Auto-Submitted: auto-replied\r\n")
    day = timezone.localdate() + timedelta(days=9)
    take(away.replace(b"2099-01-01", f"{day:%Y-%m-%d}".encode()), to=way_back(accepted))

    event = Part.objects.filter(kind=Part.Kind.EVENT).last()
    assert event
    assert f"An automatic answer came back (away until {day.day} {day:%B %Y})" in event.body
    assert event.folded == f"I am away until {day:%Y-%m-%d}."


def test_our_own_mail_that_somebody_forwards_back_is_told_and_is_no_message(accepted):
    """A customer whose mailbox forwards to us: what we write to them comes round."""
    with accepted.message.content.open("rb") as file:
        own = file.read()

    mail = take(own, to=MAILBOX)

    conversation = accepted.message.part.conversation
    assert (mail.fate, mail.fate_reason) == (Fate.REPORT, f"conversation {conversation.pk}: our own mail")
    assert Conversation.objects.count() == 1
    assert conversation.parts.filter(kind=Part.Kind.EVENT).count() == 1


def test_what_we_write_to_another_mailbox_of_ours_is_a_message_there(accepted):
    Mailbox.objects.create(name="Sales", address="sales@lamp.example")
    with accepted.message.content.open("rb") as file:
        own = file.read()

    assert take(own, to="sales@lamp.example").fate == Fate.MESSAGE
