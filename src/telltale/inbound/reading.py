"""What becomes of a mail that is kept: read, and put where it belongs.

Trust: a report that came to a return path that we signed is proven; nothing weaker changes anything here.
What matches nothing waits in quarantine.
"""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from telltale.bounce import Kind, Returned, read
from telltale.conversations.actions import (
    StoreError,
    add_customer_message,
    add_event,
    advance,
    announce,
    contact_for,
    megabytes,
    open_conversation,
)
from telltale.conversations.models import Conversation, Mailbox, Part, RawMail
from telltale.delivery.models import Delivery, OutgoingMessage
from telltale.delivery.reports import record_heard
from telltale.inbound.store import OF_REPORTS, mailbox_of
from telltale.mail.letter import Letter, read_letter
from telltale.mail.reply_address import ReplyAddress
from telltale.mail.reply_address import verify as verify_reply
from telltale.mail.report import Action, Diagnostic, RecipientReport
from telltale.mail.return_path import ReturnPath, verify
from telltale.mail.signing import Fault

TOLD = [Action.RELAYED, Action.DELIVERED, Action.DELAYED, Action.FAILED]  # the gravest last
ALARMS = [Action.DELAYED, Action.FAILED]
CAME_BACK = {
    Kind.AUTOREPLY: "An automatic answer came back",
    Kind.READ_RECEIPT: "A read receipt came back",
    Kind.COMPLAINT: "A complaint came back: this reply was called spam",
    Kind.ORDINARY: "Mail that is no report we can read came back",
}
ANSWERED = {
    Kind.AUTOREPLY: "An automatic answer came",
    Kind.READ_RECEIPT: "A read receipt came",
}
MOST_WORDS = 4_000  # characters of a bounce that we cannot take apart
MOST_COMPARED = 20  # messages with one Message-ID
MOST_SUBJECT = 120  # characters
MOST_REASON = 255  # characters

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
        if delivery := _delivery_of(mail):
            what = "Mail came back that this desk failed to read; it is kept"
            tell(delivery, what, about=f"mail {mail.pk}", mail=mail)
        return RawMail.Fate.QUARANTINED, f"our own fault: {type(error).__name__}: {error}"[:MOST_REASON]


def _take(mail: RawMail, content: bytes) -> tuple[RawMail.Fate, str]:
    proof = _proof(mail)
    if proof is Fault.NOT_OURS:
        return _take_message(mail, content)
    if isinstance(proof, Fault):  # it held when the mail was taken, and has expired while it waited
        return RawMail.Fate.QUARANTINED, f"no return path of ours: {proof}"
    if delivery := _delivery_of(mail):
        return _take_report(mail, read(content), content, delivery)
    return RawMail.Fate.QUARANTINED, "the delivery that its return path names is gone"


def _proof(mail: RawMail) -> ReturnPath | Fault:
    return verify(mail.rcpt_to, keys=settings.RETURN_PATH_KEYS, now=timezone.now())


def _proof_by_envelope_id(returned: Returned) -> ReturnPath | Fault:
    """A relay that puts its own return path in the place of ours passes the envelope id on: RFC 3461 section 4.4.

    Ours is the signed local part, and proves as much there as in an address: who knows it was given the mail.
    """
    envelope_id = f"{returned.keys.original_envelope_id}@"
    return verify(envelope_id, keys=settings.RETURN_PATH_KEYS, now=timezone.now())


def _delivery_of(mail: RawMail) -> Delivery | None:
    """The delivery whose signed return path this mail came to."""
    return _delivery_with(_proof(mail))


def _delivery_with(proof: ReturnPath | Fault) -> Delivery | None:
    if not isinstance(proof, ReturnPath):
        return None
    return Delivery.objects.select_related("message__part").filter(pk=proof.delivery_id).first()


def _take_report(
    mail: RawMail, returned: Returned, content: bytes, delivery: Delivery
) -> tuple[RawMail.Fate, str]:
    """Whatever comes to a return path that we signed came back because of that delivery: its people learn of it."""
    if returned.kind not in OF_REPORTS:
        tell(delivery, CAME_BACK[returned.kind], about=read_letter(content).subject, mail=mail)
        return RawMail.Fate.REPORT, f"delivery {delivery.pk}: {returned.kind}"
    if reason := _is_about_another(returned, delivery):
        tell(delivery, "A report came back that does not fit this delivery", about=reason, mail=mail)
        return RawMail.Fate.QUARANTINED, reason[:MOST_REASON]
    for report in _reports(returned, delivery, content):
        record_heard(delivery, report, heard=mail, proven=True)
    return RawMail.Fate.REPORT, f"delivery {delivery.pk}: {returned.kind}"


def _is_about_another(returned: Returned, delivery: Delivery) -> str:
    """Why these reports are not about this delivery; "" where they are.

    A report may name an address that the recipient forwards to: then it encloses our mail, or its header.
    """
    if not returned.reports or delivery.message.message_id in returned.keys.message_ids:
        return ""
    named = [address for report in returned.reports for address in _named(report)]
    if not named or delivery.recipient.lower() in named:
        return ""
    return f"reports on {named[0]}, not on {delivery.recipient}, and does not return our mail"


def _named(report: RecipientReport) -> list[str]:
    addresses = (report.final_recipient, report.original_recipient)
    return [address.lower() for address in addresses if address]


def _reports(returned: Returned, delivery: Delivery, content: bytes) -> list[RecipientReport]:
    """What it says of recipients, the gravest last, so that it stands.

    A bounce that names none can only mean the one recipient of its delivery.
    """
    if returned.reports:
        told = [report for report in returned.reports if report.action in TOLD]
        return sorted(told, key=lambda report: TOLD.index(report.action))
    words = read_letter(content).text[:MOST_WORDS]
    return [
        RecipientReport(delivery.recipient, OF_REPORTS[returned.kind], diagnostic_code=Diagnostic("", words))
    ]


def tell(delivery: Delivery, what: str, *, about: str, mail: RawMail | None = None) -> None:
    """No report, but it came back because of this reply: an out-of-office note, or a bounce that we cannot read."""
    conversation = advance(delivery.message.part.conversation_id)
    add_event(conversation, f"{what} ({delivery.recipient}): “{about[:MOST_SUBJECT]}”", raw_mail=mail)
    announce(conversation, "delivery.answered", delivery=delivery.pk)


def _take_message(mail: RawMail, content: bytes) -> tuple[RawMail.Fate, str]:
    returned = read(content)
    if returned.kind in OF_REPORTS and (told := _take_report_elsewhere(mail, returned, content)):
        return told
    letter = read_letter(content)
    if returned.kind in ANSWERED:
        return _take_automatic_answer(mail, letter, returned.kind)
    if returned.kind != Kind.ORDINARY:
        return RawMail.Fate.QUARANTINED, f"not written by a person: {returned.kind}"
    if not letter.from_address:
        return RawMail.Fate.QUARANTINED, "it names no sender"
    mailbox = mailbox_of(mail.rcpt_to)
    if mailbox is None:
        return RawMail.Fate.QUARANTINED, "its mailbox is gone"
    if same := _already_here(letter, mailbox):
        return RawMail.Fate.MESSAGE, f"conversation {same.conversation_id}: came before, as part {same.pk}"
    part = add_customer_message(
        _conversation_of(mail, letter) or _new_conversation(letter, mailbox),
        from_address=letter.from_address,
        body=letter.text,
        message_id=letter.message_id,
        raw_mail=mail,
        files=letter.files,
        html=letter.html,
    )
    if mail.size > len(content):
        _tell_that_it_is_cut(part, mail, len(content))
    return RawMail.Fate.MESSAGE, f"conversation {part.conversation_id}"


def _tell_that_it_is_cut(part: Part, mail: RawMail, kept: int) -> None:
    what = (
        f"This mail has {megabytes(mail.size)}, of which the desk kept the first {megabytes(kept)}: "
        f"files may be missing or broken. It is whole in the account at {mail.peer}."
    )
    add_event(advance(part.conversation_id), what, raw_mail=mail)


def _take_report_elsewhere(
    mail: RawMail, returned: Returned, content: bytes
) -> tuple[RawMail.Fate, str] | None:
    """A report that did not come to our return path; None where it matches nothing."""
    proof = _proof_by_envelope_id(returned)
    if delivery := _delivery_with(proof):
        return _take_report(mail, returned, content, delivery)
    if proof in (Fault.FORGED, Fault.EXPIRED):
        return RawMail.Fate.QUARANTINED, f"its envelope id is none of ours: {proof}"
    return _take_unproven(mail, returned)


def _take_unproven(mail: RawMail, returned: Returned) -> tuple[RawMail.Fate, str] | None:
    """A report that encloses our mail, as it comes where our return path was replaced: Google and Microsoft put an
    account's address there. Whoever was sent that mail could have written it, so it is told as "not proven",
    and may raise an alarm but not silence one.
    """
    mails = Delivery.objects.filter(message__message_id__in=returned.keys.message_ids)
    deliveries = {delivery.recipient.lower(): delivery for delivery in mails.select_related("message__part")}
    told = []
    for report in returned.reports:
        found = [deliveries[address] for address in _named(report) if address in deliveries]
        if found and report.action in ALARMS:
            record_heard(found[0], report, heard=mail, proven=False)
            told.append(found[0].pk)
    if not told:
        return None
    return RawMail.Fate.REPORT, f"delivery {', '.join(map(str, told))}: {returned.kind}, not proven"[
        :MOST_REASON
    ]


def _already_here(letter: Letter, mailbox: Mailbox) -> Part | None:
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
        return RawMail.Fate.QUARANTINED, f"not written by a person: {kind}"
    conversation = advance(conversation.pk)
    what = f"{ANSWERED[kind]} from {letter.from_address or 'nobody named'}: “{letter.subject[:MOST_SUBJECT]}”"
    add_event(conversation, what, raw_mail=mail)
    announce(conversation, "message.automatic")
    return RawMail.Fate.REPORT, f"conversation {conversation.pk}: {kind}"


def _conversation_of(mail: RawMail, letter: Letter) -> Conversation | None:
    """The conversation that this answers: by our signed reply address, else by the mail that it names."""
    return _conversation_written_to(mail.rcpt_to) or _conversation_answered(letter)


def _conversation_written_to(address: str) -> Conversation | None:
    """The conversation whose signed reply address this is: whoever knows it was given a mail of ours."""
    answer = verify_reply(address, keys=settings.REPLY_ADDRESS_KEYS)
    mailbox = mailbox_of(address)
    if mailbox is None or not isinstance(answer, ReplyAddress):
        return None
    return mailbox.conversations.filter(pk=answer.conversation_id).first()


def _conversation_answered(letter: Letter) -> Conversation | None:
    """The conversation that the letter answers, where its sender is part of that.

    Whoever has copied a Message-ID from somewhere does not get into the conversation of another person.
    """
    for answered in _answered(letter):
        if _takes_part(answered.conversation, letter.from_address):
            return answered.conversation
    return None


def _new_conversation(letter: Letter, mailbox: Mailbox) -> Conversation:
    contact = contact_for(letter.from_address, name=letter.from_name)
    return open_conversation(mailbox=mailbox, contact=contact, subject=letter.subject)


def _answered(letter: Letter) -> QuerySet[Part]:
    """The parts that the letter names, the newest first; a reply that was sent elsewhere has several mails."""
    mails = OutgoingMessage.objects.filter(message_id__in=letter.answers)
    part_ids = list(mails.values_list("part_id", flat=True))  # a list: so each index is used by itself
    named = Part.objects.filter(Q(message_id__in=letter.answers) | Q(pk__in=part_ids))
    return named.select_related("conversation").order_by("-pk")


def _takes_part(conversation: Conversation, address: str) -> bool:
    return (
        conversation.contact.addresses.with_email(address).exists()
        or Delivery.objects.filter(
            message__part__conversation=conversation, recipient__iexact=address
        ).exists()
    )
