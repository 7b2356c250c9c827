"""What somebody does with a mail that was set aside: let it in, or have it read again."""

from __future__ import annotations

from django.db import transaction

from telltale.accounts.models import Agent
from telltale.conversations.actions import add_event, advance, announce
from telltale.conversations.models import Conversation, Mailbox, RawMail
from telltale.events.bell import INBOUND, ring
from telltale.inbound.reading import add_message
from telltale.inbound.store import mailbox_of
from telltale.mail.letter import read_letter

SET_ASIDE = (RawMail.Fate.QUARANTINED, RawMail.Fate.FAULT)


class AdmissionError(ValueError):
    """This mail cannot be a message; the text says why."""


@transaction.atomic
def admit(pk: int, *, agent: Agent) -> Conversation:
    """Somebody has looked at a mail that was set aside, and takes it for a message. Raises AdmissionError."""
    mail = RawMail.objects.select_for_update().get(pk=pk)
    if mail.fate not in SET_ASIDE:
        raise AdmissionError("This mail is not in quarantine any more.")
    try:
        with mail.content.open("rb") as file:
            letter = read_letter(file.read())
    except OSError as error:
        raise AdmissionError("The file of this mail cannot be read.") from error
    if not letter.from_address:
        raise AdmissionError("It names no sender, so nobody could be answered.")
    mailbox = mailbox_of(mail.rcpt_to) or _nearest_mailbox(mail.rcpt_to)
    part = add_message(mail, letter, mailbox)
    conversation = advance(part.conversation_id)
    add_event(conversation, f"{agent.name} let this mail in from quarantine ({mail.fate_reason})", agent)
    announce(conversation, "message.admitted", part=part.pk)
    mail.fate, mail.fate_reason = (
        RawMail.Fate.MESSAGE,
        f"conversation {conversation.pk}: let in by {agent.name}",
    )
    mail.save(update_fields=["fate", "fate_reason"])
    return conversation


def _nearest_mailbox(address: str) -> Mailbox:
    """For mail to a return path: the mailbox of its domain, else the first."""
    mailboxes = Mailbox.objects.order_by("pk")
    of_domain = mailboxes.filter(address__iendswith=f"@{address.rpartition('@')[2]}")
    mailbox = of_domain.first() or mailboxes.first()
    if mailbox is None:
        raise AdmissionError("The desk has no mailbox. Add one in Settings.")
    return mailbox


@transaction.atomic
def read_again(pk: int) -> None:
    """Let a mail that was set aside be read once more, by the rules as they are now."""
    RawMail.objects.filter(pk=pk, fate__in=SET_ASIDE).update(fate=RawMail.Fate.WAITING, fate_reason="")
    ring(INBOUND)
