"""What becomes of a mail that is kept: read, and put where it belongs.

What a person wrote goes to the conversation that it answers, or opens one; what came back because of our mail goes the
way of reports.py. What matches nothing waits in quarantine.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from telltale.bounce import Kind, read
from telltale.conversations.actions import (
    StoreError,
    add_customer_message,
    add_event,
    add_participants,
    advance,
    announce,
    contact_for,
    megabytes,
    open_conversation,
)
from telltale.conversations.models import Address, Conversation, Mailbox, Part, RawMail
from telltale.delivery.actions import acknowledge
from telltale.delivery.models import Delivery, OutgoingMessage
from telltale.events.bell import publish
from telltale.inbound.reports import (
    MOST_REASON,
    MOST_SUBJECT,
    delivery_of,
    proof_of,
    take_report,
    take_report_elsewhere,
    tell,
    with_return,
)
from telltale.inbound.store import OF_REPORTS, mailbox_of, refusal_for
from telltale.inbound.verification import FAIL, OF_PROVIDERS, by_results
from telltale.mail.courtesy import may_be_answered
from telltale.mail.letter import Letter, authentication_results, read_letter
from telltale.mail.reply_address import ReplyAddress
from telltale.mail.reply_address import verify as verify_reply
from telltale.mail.signing import Fault

MATCHES_NOTHING = {
    Kind.BOUNCE: "a report of a failure that matches no reply of ours",
    Kind.DELAYED: "a report of a delay that matches no reply of ours",
    Kind.DELIVERED: "a report of a success that matches no reply of ours",
    Kind.COMPLAINT: "a complaint that matches no reply of ours",
    Kind.AUTOREPLY: "an automatic answer to nothing of ours",
    Kind.READ_RECEIPT: "a read receipt for nothing of ours",
}
ANSWERED = {
    Kind.AUTOREPLY: "An automatic answer came",
    Kind.READ_RECEIPT: "A read receipt came",
}
MOST_PER_HOUR = 200  # messages of one sender
FLOOD = f"more than {MOST_PER_HOUR} mails within an hour"
MOST_COMPARED = 20  # messages with one Message-ID

logger = logging.getLogger(__name__)


@transaction.atomic
def read_next() -> bool:
    """Read one stored mail. False where none waits. A crash in the middle leaves it waiting."""
    mail = RawMail.objects.select_for_update(skip_locked=True).filter(fate=RawMail.Fate.WAITING).first()
    if mail is None:
        return False
    mail.fate, mail.fate_reason = _take_safely(mail)
    mail.save(update_fields=["fate", "fate_reason"])
    return True


def _take_safely(mail: RawMail) -> tuple[RawMail.Fate, str]:
    """One mail that we fail at must not stop all that come behind it, nor be forgotten."""
    try:
        with transaction.atomic(), mail.content.open("rb") as file:
            return _take(mail, file.read())
    except (OperationalError, InterfaceError, StoreError):
        raise  # the database is away, or the disk is full: the mail waits
    except Exception as error:
        logger.exception("could not read the stored mail %s", mail.pk)
        if delivery := delivery_of(mail):
            what = "Mail came back that this desk failed to read; it is kept"
            tell(delivery, what, about=f"mail {mail.pk}", mail=mail)
        publish("mail.unread", ["inbox"])
        return RawMail.Fate.FAULT, f"our own fault: {type(error).__name__}: {error}"[:MOST_REASON]


def _take(mail: RawMail, content: bytes) -> tuple[RawMail.Fate, str]:
    proof = proof_of(mail)
    if proof is Fault.NOT_OURS:
        return _take_message(mail, content)
    if isinstance(proof, Fault):  # it held when the mail was taken, and has expired while it waited
        return RawMail.Fate.QUARANTINED, f"no return path of ours: {proof}"
    if delivery := delivery_of(mail):
        return take_report(mail, read(content), content, delivery)
    return RawMail.Fate.QUARANTINED, "the delivery that its return path names is gone"


def _take_message(mail: RawMail, content: bytes) -> tuple[RawMail.Fate, str]:
    returned = read(content)
    if returned.kind in (*OF_REPORTS, Kind.COMPLAINT) and (
        told := take_report_elsewhere(mail, returned, content)
    ):
        return told
    letter = read_letter(content)
    if returned.kind in ANSWERED:
        return _take_automatic_answer(mail, letter, returned.kind)
    if returned.kind != Kind.ORDINARY:
        return RawMail.Fate.QUARANTINED, MATCHES_NOTHING[returned.kind]
    return _take_letter(mail, letter, content)


def _take_letter(mail: RawMail, letter: Letter, content: bytes) -> tuple[RawMail.Fate, str]:
    """What a person wrote."""
    if not letter.from_address:
        return RawMail.Fate.QUARANTINED, "it names no sender"
    mailbox = mailbox_of(mail.rcpt_to)
    if mailbox is None:
        return RawMail.Fate.QUARANTINED, "its mailbox is gone"
    if same := already_here(letter, mailbox):
        return RawMail.Fate.MESSAGE, f"conversation {same.conversation_id}: came before, as part {same.pk}"
    if own := _own_mail(letter, mailbox):
        return _take_own_mail(mail, own)
    _verify_by_results(mail, letter, content)
    if mail.door != "imap" and _comes_too_often(letter.from_address):  # an account may hold the mail of weeks
        _tell_of_flood(letter.from_address)
        return RawMail.Fate.QUARANTINED, FLOOD
    part = add_message(mail, letter, mailbox)
    if part.first_version == 1 and mailbox.acknowledgement and _may_be_acknowledged(mail, letter, content):
        acknowledge(part)
    if mail.size > len(content):
        _tell_that_it_is_cut(part, mail, len(content))
    return RawMail.Fate.MESSAGE, f"conversation {part.conversation_id}"


def add_message(mail: RawMail, letter: Letter, mailbox: Mailbox) -> Part:
    """The letter in the conversation that it answers, else in a new one; whom it names takes part from then on."""
    conversation = _conversation_to_go_on(mail, letter, mailbox)
    part = add_customer_message(
        conversation,
        from_address=letter.from_address,
        body=letter.text,
        message_id=letter.message_id,
        raw_mail=mail,
        files=letter.files,
        html=letter.html,
    )
    people = [] if part.first_version == 1 else [(letter.from_name, letter.from_address)]  # else the contact
    people += [(name, email) for name, email in letter.recipients if email.lower() != mailbox.address.lower()]
    add_participants(conversation, [(name, email) for name, email in people if refusal_for(email)])
    return part


def _conversation_to_go_on(mail: RawMail, letter: Letter, mailbox: Mailbox) -> Conversation:
    answered = _conversation_of(mail, letter)
    if answered is None:
        return _new_conversation(letter, mailbox)
    days = answered.mailbox.new_after_days
    is_over = answered.state == Conversation.State.CLOSED
    if is_over and days and answered.updated_at < timezone.now() - timedelta(days=days):
        return _new_conversation(letter, answered.mailbox, continues=answered)
    return answered


def _own_mail(letter: Letter, mailbox: Mailbox) -> OutgoingMessage | None:
    """A mail of this very mailbox, on its way round: somebody forwards all that we write to them back to us."""
    sent = OutgoingMessage.objects.filter(message_id=letter.message_id, part__conversation__mailbox=mailbox)
    return sent.select_related("part").first() if letter.message_id else None


def _take_own_mail(mail: RawMail, own: OutgoingMessage) -> tuple[RawMail.Fate, str]:
    conversation = advance(own.part.conversation_id)
    add_event(conversation, "A mail of our own came back to us: somebody forwards it here", raw_mail=mail)
    announce(conversation, "message.own")
    return RawMail.Fate.REPORT, f"conversation {conversation.pk}: our own mail"


def _tell_of_flood(address: str) -> None:
    """Once within the hour, where the newest of this sender's messages went."""
    newest = Part.objects.filter(from_address__iexact=address, kind=Part.Kind.CUSTOMER_MESSAGE).last()
    an_hour_ago = timezone.now() - timedelta(hours=1)
    told = f"From {address} come {FLOOD}: the others wait in quarantine"
    if newest is None or Part.objects.filter(
        conversation__contact=newest.contact, kind=Part.Kind.EVENT, body=told, created_at__gt=an_hour_ago
    ):
        return
    conversation = advance(newest.conversation_id)
    add_event(conversation, told)
    announce(conversation, "message.flood")


def _comes_too_often(address: str) -> bool:
    """A machine that answers itself, or a flood: what comes above the limit waits where somebody can look."""
    an_hour_ago = timezone.now() - timedelta(hours=1)
    sender = Address.objects.with_email(address).values("contact")
    newest = Part.objects.filter(
        kind=Part.Kind.CUSTOMER_MESSAGE, contact__in=sender, created_at__gt=an_hour_ago
    )
    return newest[: MOST_PER_HOUR + 1].count() >= MOST_PER_HOUR


def _may_be_acknowledged(mail: RawMail, letter: Letter, content: bytes) -> bool:
    """Whom it would go to is a person who wrote to us, and not somebody whose name was taken."""
    if mail.sender_verified == FAIL:
        return False
    is_to_us = any(not refusal_for(address) for _, address in letter.recipients)
    return is_to_us and may_be_answered(
        content,
        reverse_path=mail.mail_from,
        sender=letter.from_address,
        ours=lambda address: not refusal_for(address),
    )


def _verify_by_results(mail: RawMail, letter: Letter, content: bytes) -> None:
    """What a server that we trust found out about the sender, where the door has not looked itself."""
    trusted = list(settings.ENVIRONMENT.trusted_results)
    if mail.door == "imap" and mail.peer in OF_PROVIDERS:
        trusted.append(OF_PROVIDERS[mail.peer])
    if mail.sender_verified or not trusted:
        return
    found = by_results(authentication_results(content), letter.from_address, trusted=trusted)
    if found.outcome:
        mail.sender_verified, mail.sender_verification = found.outcome, found.text[:500]
        mail.save(update_fields=["sender_verified", "sender_verification"])


def _tell_that_it_is_cut(part: Part, mail: RawMail, kept: int) -> None:
    what = (
        f"This mail has {megabytes(mail.size)}, of which the desk kept the first {megabytes(kept)}: "
        f"files may be missing or broken. It is whole in the account at {mail.peer}."
    )
    add_event(advance(part.conversation_id), what, raw_mail=mail)


def already_here(letter: Letter, mailbox: Mailbox) -> Part | None:
    """The message that this one is once more: its sender never heard our 250, or it came through two doors.

    There are programs that give all of their mails one Message-ID: the letters must be the same to the last octet.
    """
    if not letter.message_id:
        return None
    _lock(letter.message_id)
    parts = Part.objects.filter(message_id=letter.message_id, conversation__mailbox=mailbox)
    named = parts.filter(kind=Part.Kind.CUSTOMER_MESSAGE, raw_mail__isnull=False).select_related("raw_mail")
    return next((part for part in named[:MOST_COMPARED] if _letter_of(part) == letter), None)


def _letter_of(part: Part) -> Letter | None:
    if part.raw_mail is None:
        return None
    try:
        with part.raw_mail.content.open("rb") as file:
            return read_letter(file.read())
    except OSError:  # its file is lost: better one message twice than one that nobody sees
        return None


def _lock(message_id: str) -> None:
    """Until the transaction ends nobody else takes a mail with this Message-ID."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [message_id])


def _take_automatic_answer(mail: RawMail, letter: Letter, kind: Kind) -> tuple[RawMail.Fate, str]:
    """What a machine answered is told where it answers, and nowhere else: it opens nothing, makes nobody known."""
    conversation = _conversation_of(mail, letter)
    if conversation is None:
        return RawMail.Fate.QUARANTINED, MATCHES_NOTHING[kind]
    conversation = advance(conversation.pk)
    who = letter.from_address or "nobody named"
    what = f"{with_return(ANSWERED[kind], kind, letter)} from {who}: “{letter.subject[:MOST_SUBJECT]}”"
    add_event(conversation, what, raw_mail=mail, folded=letter.text)
    announce(conversation, "message.automatic")
    return RawMail.Fate.REPORT, f"conversation {conversation.pk}: {kind}"


def _conversation_of(mail: RawMail, letter: Letter) -> Conversation | None:
    """The conversation that this answers: by our signed reply address, else by the mail that it names."""
    return _conversation_written_to(mail.rcpt_to) or conversation_answered(letter)


def _conversation_written_to(address: str) -> Conversation | None:
    """The conversation whose signed reply address this is: whoever knows it was given a mail of ours."""
    answer = verify_reply(address, keys=settings.REPLY_ADDRESS_KEYS)
    if not isinstance(answer, ReplyAddress):
        return None
    mailbox = mailbox_of(address)
    return mailbox.conversations.filter(pk=answer.conversation_id).first() if mailbox else None


def conversation_answered(letter: Letter) -> Conversation | None:
    """The conversation that the letter answers, where its sender is part of that.

    Whoever has copied a Message-ID from somewhere does not get into the conversation of another person.
    """
    for part in answered(letter):
        if _takes_part(part.conversation, letter.from_address):
            return part.conversation
    return None


def _new_conversation(
    letter: Letter, mailbox: Mailbox, *, continues: Conversation | None = None
) -> Conversation:
    contact = contact_for(letter.from_address, name=letter.from_name)
    return open_conversation(mailbox=mailbox, contact=contact, subject=letter.subject, continues=continues)


def answered(letter: Letter) -> QuerySet[Part]:
    """The parts that the letter names, the newest first; a reply that was sent elsewhere has several mails."""
    mails = OutgoingMessage.objects.filter(message_id__in=letter.answers)
    part_ids = list(mails.values_list("part_id", flat=True))  # a list: so each index is used by itself
    named = Part.objects.filter(Q(message_id__in=letter.answers) | Q(pk__in=part_ids))
    return named.select_related("conversation").order_by("-pk")


def _takes_part(conversation: Conversation, address: str) -> bool:
    return (
        conversation.contact.addresses.with_email(address).exists()
        or conversation.participants.filter(email__iexact=address).exists()
        or Delivery.objects.filter(
            message__part__conversation=conversation, recipient__iexact=address
        ).exists()
    )
