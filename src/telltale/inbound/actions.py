"""What becomes of a mail that came in: stored, read, and put where it belongs.

Trust: a report that came to a return path that we signed is proven; nothing weaker changes anything here.
What matches nothing waits in quarantine.
"""

from __future__ import annotations

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from telltale.bounce import Kind, read
from telltale.conversations.actions import add_customer_message, contact_for, open_conversation
from telltale.conversations.models import Conversation, Mailbox, Part, RawMail
from telltale.delivery.models import Delivery
from telltale.delivery.reports import record_returned
from telltale.mail.letter import Letter, read_letter
from telltale.mail.report import Action
from telltale.mail.return_path import Fault, ReturnPath, verify

OF_REPORTS = {Kind.BOUNCE, Kind.DELAYED, Kind.DELIVERED}


def refusal_for(address: str) -> str:
    """Why we do not take mail for this address; "" where we do."""
    proof = verify(address, keys=settings.RETURN_PATH_KEYS, now=timezone.now())
    if isinstance(proof, ReturnPath):
        return ""
    if proof is not Fault.NOT_OURS:
        return f"is no return path of ours: {proof}"
    if Mailbox.objects.filter(address__iexact=address).exists():
        return ""
    return "is no mailbox of this desk"


@transaction.atomic
def store(content: bytes, *, door: str, mail_from: str, rcpt_to: str, peer: str) -> RawMail:
    """Keep the mail as it came. When this returns and the transaction is committed, it cannot be lost."""
    mail = RawMail(
        door=door, mail_from=mail_from[:512], rcpt_to=rcpt_to[:512], peer=peer[:64], size=len(content)
    )
    mail.content.save("mail.eml", ContentFile(content), save=False)
    mail.save()
    return mail


@transaction.atomic
def read_next() -> bool:
    """Read one stored mail. False where none waits. A crash in the middle leaves it waiting."""
    mail = RawMail.objects.select_for_update(skip_locked=True).filter(fate=RawMail.Fate.WAITING).first()
    if mail is None:
        return False
    with mail.content.open("rb") as file:
        content = file.read()
    mail.fate, mail.fate_reason = _take(mail, content)
    mail.save(update_fields=["fate", "fate_reason"])
    return True


def _take(mail: RawMail, content: bytes) -> tuple[RawMail.Fate, str]:
    proof = verify(mail.rcpt_to, keys=settings.RETURN_PATH_KEYS, now=timezone.now())
    if isinstance(proof, ReturnPath):
        return _take_report(mail, content, proof)
    return _take_message(mail, content)


def _take_report(mail: RawMail, content: bytes, proof: ReturnPath) -> tuple[RawMail.Fate, str]:
    delivery = Delivery.objects.select_related("message__part").filter(pk=proof.delivery_id).first()
    if delivery is None:
        return RawMail.Fate.QUARANTINED, "the delivery that its return path names is gone"
    returned = read(content)
    if returned.kind not in OF_REPORTS:
        return RawMail.Fate.QUARANTINED, f"came to a return path, but is no report: {returned.kind}"
    if not returned.reports:
        return RawMail.Fate.QUARANTINED, "a report that names no recipient"
    for report in returned.reports:
        if report.action in (Action.FAILED, Action.DELAYED, Action.DELIVERED):
            record_returned(delivery, report, returned_mail=mail, proven=True)
    return RawMail.Fate.REPORT, f"delivery {delivery.pk}"


def _take_message(mail: RawMail, content: bytes) -> tuple[RawMail.Fate, str]:
    kind = read(content).kind
    if kind != Kind.ORDINARY:
        return RawMail.Fate.QUARANTINED, f"not written by a person: {kind}"
    letter = read_letter(content)
    if "@" not in letter.from_address:
        return RawMail.Fate.QUARANTINED, "it names no sender"
    part = add_customer_message(
        _conversation_for(letter, Mailbox.objects.get(address__iexact=mail.rcpt_to)),
        from_address=letter.from_address,
        body=letter.text,
        message_id=letter.message_id,
        raw_mail=mail,
    )
    return RawMail.Fate.MESSAGE, f"conversation {part.conversation_id}"


def _conversation_for(letter: Letter, mailbox: Mailbox) -> Conversation:
    """The conversation that the letter answers, where its sender is part of that; else a new one.

    Whoever has copied a Message-ID from somewhere does not get into the conversation of another person.
    """
    answered = Part.objects.filter(message_id__in=letter.answers).select_related("conversation").last()
    if answered and _takes_part(answered.conversation, letter.from_address):
        return answered.conversation
    contact = contact_for(letter.from_address, name=letter.from_name)
    return open_conversation(mailbox=mailbox, contact=contact, subject=letter.subject)


def _takes_part(conversation: Conversation, address: str) -> bool:
    return (
        conversation.contact.addresses.filter(email__iexact=address).exists()
        or Delivery.objects.filter(
            message__part__conversation=conversation, recipient__iexact=address
        ).exists()
    )
