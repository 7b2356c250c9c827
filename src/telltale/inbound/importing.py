"""Mail of the time before this desk: kept as it came, then put into conversations in the order of its dates.

Rule 1: it is history. It opens nothing, notifies nobody, and no report in it changes a delivery.
Rule 2: broken off at any moment and begun again, nothing is lost and nothing is there twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from django.db import transaction
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.bounce import Kind, read
from telltale.conversations.actions import contact_for, import_message, open_conversation, set_state
from telltale.conversations.models import Contact, Conversation, Mailbox, RawMail
from telltale.inbound.reading import already_here, answered, conversation_answered
from telltale.inbound.store import is_kept, keep, refusal_for
from telltale.mail.letter import Letter, read_letter, reverse_path

Fate = RawMail.Fate

MOST_READ = 64_000  # octets of a mail, for its date
BY_OURSELVES = "imported: sent by ourselves, left out"
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)  # before that nobody had such mail: a broken clock


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the mail goes."""

    mailbox: Mailbox
    agent: Agent | None = None  # who wrote what we sent; None: that is left out
    is_open: bool = False  # whether the conversations are to be worked on


@transaction.atomic
def keep_once(content: bytes, plan: Plan) -> bool:
    """Keep a mail to be put in its place. Whether it was not kept already."""
    if is_kept(content, came_to=plan.mailbox.address):
        return False
    address = plan.mailbox.address
    sender = reverse_path(content)
    keep(content, door="file", mail_from=sender, rcpt_to=address, peer="", fate=Fate.IMPORTING)
    return True


def waiting(plan: Plan) -> list[int]:
    """What is kept and not in its place yet, the oldest first."""
    kept = RawMail.objects.filter(door="file", rcpt_to=plan.mailbox.address)
    mails = list(kept.filter(fate=Fate.IMPORTING))
    if plan.agent:  # an earlier import may have left them out
        mails += kept.filter(fate=Fate.REPORT, fate_reason=BY_OURSELVES)
    return [pk for _, pk in sorted((_sent_at(mail, _date_of(mail)), mail.pk) for mail in mails)]


@transaction.atomic
def put_in_place(pk: int, plan: Plan) -> str:
    """One mail, in a transaction of its own. What it counts as."""
    mail = RawMail.objects.select_for_update().get(pk=pk)
    with mail.content.open("rb") as file:
        content = file.read()
    what, mail.fate, mail.fate_reason = _take(mail, content, plan)
    mail.save(update_fields=["fate", "fate_reason"])
    return what


def _take(mail: RawMail, content: bytes, plan: Plan) -> tuple[str, RawMail.Fate, str]:
    """What it counts as, and its fate."""
    if (kind := read(content).kind) != Kind.ORDINARY:
        return "of machines", Fate.REPORT, f"imported: {kind}"
    letter = read_letter(content)
    if not letter.from_address:
        return "without a sender", Fate.QUARANTINED, "imported: it names no sender"
    is_ours = Mailbox.objects.filter(address__iexact=letter.from_address).exists()
    if is_ours and plan.agent is None:
        return "sent by ourselves, left out", Fate.REPORT, BY_OURSELVES
    if same := already_here(letter, plan.mailbox):
        return (
            "here already",
            Fate.MESSAGE,
            f"conversation {same.conversation_id}: came before, as part {same.pk}",
        )
    contact = _customer(letter, is_ours=is_ours)
    if contact is None:
        return "of nobody outside", Fate.REPORT, "imported: it goes to nobody outside"
    at = _sent_at(mail, letter.date)
    part = import_message(
        _conversation_before(letter, at, is_ours=is_ours) or _new_conversation(letter, contact, plan),
        letter=letter,
        raw_mail=mail,
        at=at,
        agent=plan.agent if is_ours else None,
    )
    return "replies" if is_ours else "messages", Fate.MESSAGE, f"conversation {part.conversation_id}"


def _customer(letter: Letter, *, is_ours: bool) -> Contact | None:
    """Whom the mail is from, or, where we wrote it, whom it is to."""
    if not is_ours:
        return contact_for(letter.from_address, name=letter.from_name)
    outside = [address for _, address in letter.recipients if refusal_for(address)]
    return contact_for(outside[0]) if outside else None


def _conversation_before(letter: Letter, at: datetime, *, is_ours: bool) -> Conversation | None:
    """The conversation that it answers, where nothing newer stands in that: parts stand in the order they came."""
    if is_ours:
        part = answered(letter).first()
        conversation = part.conversation if part else None
    else:
        conversation = conversation_answered(letter)
    return conversation if conversation and conversation.updated_at <= at else None


def _new_conversation(letter: Letter, contact: Contact, plan: Plan) -> Conversation:
    conversation = open_conversation(mailbox=plan.mailbox, contact=contact, subject=letter.subject)
    if not plan.is_open:
        set_state(conversation, Conversation.State.CLOSED)
    return conversation


def _date_of(mail: RawMail) -> str:
    with mail.content.open("rb") as file:
        return read_letter(file.read(MOST_READ)).date


def _sent_at(mail: RawMail, date: str) -> datetime:
    """By the sender's clock; when it was imported, where that is broken."""
    try:
        at = parsedate_to_datetime(date)
    except (TypeError, ValueError, IndexError):
        return mail.received_at
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return at if EARLIEST < at <= timezone.now() else mail.received_at
