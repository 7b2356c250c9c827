"""What people do in a conversation, apart from sending: each verb is one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.conversations.models import (
    Address,
    Attachment,
    Contact,
    Conversation,
    Draft,
    Formatting,
    Mailbox,
    Part,
    Participant,
    RawMail,
    Relay,
)
from telltale.events.bell import publish
from telltale.mail import formatted, history, invitation
from telltale.mail.letter import Letter
from telltale.mail.letter_files import LetterFile

MOST_PARTICIPANTS = 50  # a mail to hundreds is no conversation with all of them
CALENDARS = ("text/calendar", "application/ics")
MOST_FOLDED = 20_000  # characters
MOST_PEEKED_INTO = 10_000  # characters
PEEK = 140  # characters of a message that the list shows


class TooLargeError(ValueError):
    """More octets than a mail may have. The text says how many there are and how many there may be."""


class StoreError(Exception):
    """The store of files takes nothing at the moment: that is no fault of what was to be stored."""


_ADVANCE = "UPDATE conversations_conversation SET version = version + 1 WHERE id = %s RETURNING *"


def advance(conversation_id: int) -> Conversation:
    """Give the conversation its next version, and with that lock it until the transaction ends.

    Always the first lock that a verb takes, so that two verbs never wait for each other in a ring.
    """
    [conversation] = Conversation.objects.raw(_ADVANCE, [conversation_id])
    return conversation


def announce(conversation: Conversation, name: str, **ids: int) -> None:
    """Tell the pages that show this conversation, and the lists."""
    topics = ["inbox", f"conversation-{conversation.pk}"]
    publish(name, topics, conversation=conversation.pk, version=conversation.version, **ids)


def add_part(conversation: Conversation, kind: Part.Kind, **fields: object) -> Part:
    """A new part at the conversation's present version; a message also moves it up in the list."""
    version = conversation.version
    part = Part.objects.create(
        conversation=conversation, kind=kind, first_version=version, version=version, **fields
    )
    if kind in _PREFIX:
        conversation.peek = _peek(part)
        conversation.updated_at = part.created_at
        conversation.save(update_fields=["peek", "updated_at"])
    return part


_PREFIX = {Part.Kind.CUSTOMER_MESSAGE: "", Part.Kind.REPLY: "You: ", Part.Kind.INTERNAL_NOTE: "Note: "}


def _peek(part: Part) -> str:
    """The first new words: an answer may begin with what it quotes, and end with a signature."""
    words = part.body[:MOST_PEEKED_INTO]
    if part.kind == Part.Kind.CUSTOMER_MESSAGE and part.first_version > 1:
        words, _ = history.without_history(words)
    return _PREFIX[Part.Kind(part.kind)] + " ".join(words.split())[:PEEK]


def show_peek(conversation: Conversation) -> None:
    """Let the list show the first words of the newest message again, once one has been taken away."""
    newest = conversation.parts.filter(kind__in=_PREFIX).last()
    conversation.peek = _peek(newest) if newest else ""
    conversation.save(update_fields=["peek"])


def add_event(
    conversation: Conversation,
    text: str,
    agent: Agent | None = None,
    *,
    raw_mail: RawMail | None = None,
    folded: str = "",
) -> Part:
    """A line that says what happened; `raw_mail` is the mail that it is about, `folded` what that says."""
    return add_part(
        conversation, Part.Kind.EVENT, body=text, agent=agent, raw_mail=raw_mail, folded=folded[:MOST_FOLDED]
    )


def mark_changed(conversation: Conversation, *part_ids: int) -> None:
    """Let the pages fetch these parts again."""
    Part.objects.filter(pk__in=part_ids).update(version=conversation.version)


@transaction.atomic
def create_mailbox(
    *, way: str = Mailbox.Way.DIRECT, relay: Mapping[str, Any] | None = None, **fields: Any
) -> Mailbox:
    """A mailbox of ours; `relay` are the fields of its first relay, where its mail leaves by one."""
    mailbox = Mailbox.objects.create(way=way, **fields)
    if relay:
        Relay.objects.create(mailbox=mailbox, **relay)
    return mailbox


@transaction.atomic
def open_conversation(
    *,
    mailbox: Mailbox,
    contact: Contact,
    subject: str,
    assignee: Agent | None = None,
    continues: Conversation | None = None,
) -> Conversation:
    return Conversation.objects.create(
        mailbox=mailbox, contact=contact, subject=subject, assignee=assignee, continues=continues
    )


@transaction.atomic
def contact_for(email: str, *, name: str = "") -> Contact:
    """The contact with this address; a new one where nobody has it yet."""
    known = Address.objects.select_related("contact").with_email(email)
    if address := known.first():
        return address.contact
    try:
        with transaction.atomic():
            contact = Contact.objects.create(name=name)
            Address.objects.create(contact=contact, email=email)
            return contact
    except IntegrityError:  # another process has just met the same person
        return known.get().contact


@transaction.atomic
def add_customer_message(
    conversation: Conversation,
    *,
    from_address: str,
    body: str,
    message_id: str = "",
    raw_mail: RawMail | None = None,
    files: Sequence[LetterFile] = (),
    html: str = "",
) -> Part:
    """A customer wrote: the address is alive, and a closed conversation is open again."""
    conversation = advance(conversation.pk)
    contact = contact_for(from_address)
    Address.objects.with_email(from_address).update(last_heard_at=timezone.now(), dead_since=None)
    part = add_part(
        conversation,
        Part.Kind.CUSTOMER_MESSAGE,
        contact=contact,
        from_address=from_address,
        body=body,
        message_id=message_id,
        raw_mail=raw_mail,
    )
    _keep_html(part, html)
    _keep_files(part, files, html)
    if conversation.state != Conversation.State.OPEN:
        set_state(conversation, Conversation.State.OPEN)
    announce(conversation, "message.received", part=part.pk)
    return part


def add_participants(conversation: Conversation, people: Sequence[tuple[str, str]]) -> None:
    """Names and addresses of those who take part beside the contact; at most MOST_PARTICIPANTS of one conversation."""
    if not people:
        return
    known = {email.lower() for email in conversation.contact.addresses.values_list("email", flat=True)}
    known |= {email.lower() for email in conversation.participants.values_list("email", flat=True)}
    for name, email in people:
        if email.lower() not in known and conversation.participants.count() < MOST_PARTICIPANTS:
            known.add(email.lower())
            Participant.objects.create(conversation=conversation, email=email, name=name)


@transaction.atomic
def import_message(
    conversation: Conversation, *, letter: Letter, raw_mail: RawMail, at: datetime, agent: Agent | None
) -> Part:
    """A message of the time before this desk, by a customer or, with `agent`, by us: nothing opens, nobody hears."""
    conversation = advance(conversation.pk)
    part = add_part(
        conversation,
        Part.Kind.REPLY if agent else Part.Kind.CUSTOMER_MESSAGE,
        agent=agent,
        contact=None if agent else contact_for(letter.from_address, name=letter.from_name),
        from_address=letter.from_address,
        body=letter.text,
        message_id=letter.message_id,
        raw_mail=raw_mail,
        created_at=at,
    )
    _keep_html(part, letter.html)
    _keep_files(part, letter.files, letter.html)
    Conversation.objects.filter(pk=conversation.pk, created_at__gt=at).update(created_at=at)
    if part.contact_id is not None:
        Contact.objects.filter(pk=part.contact_id, created_at__gt=at).update(created_at=at)
        heard_before = Q(last_heard_at=None) | Q(last_heard_at__lt=at)
        Address.objects.with_email(letter.from_address).filter(heard_before).update(last_heard_at=at)
    return part


@transaction.atomic
def add_internal_note(conversation: Conversation, *, agent: Agent, body: str, key: uuid.UUID) -> Part:
    """A note that only the team sees. The same key a second time is the same note."""
    conversation = advance(conversation.pk)
    existing = Part.objects.filter(key=key).first()
    if existing:
        return existing
    part = add_part(conversation, Part.Kind.INTERNAL_NOTE, agent=agent, body=body, key=key)
    Draft.objects.filter(key=key).delete()
    announce(conversation, "note.added", part=part.pk)
    return part


def set_state(conversation: Conversation, state: Conversation.State) -> None:
    conversation.state = state
    conversation.save(update_fields=["state"])


@transaction.atomic
def change_state(conversation: Conversation, state: Conversation.State, *, agent: Agent) -> None:
    """Close or open by hand; nothing where it is so already."""
    conversation = advance(conversation.pk)
    if conversation.state == state:
        return
    set_state(conversation, state)
    verb = "closed" if state == Conversation.State.CLOSED else "opened"
    add_event(conversation, f"{agent.name} {verb} the conversation", agent)
    announce(conversation, f"conversation.{verb}")


@transaction.atomic
def assign(conversation: Conversation, assignee: Agent | None, *, agent: Agent) -> None:
    conversation = advance(conversation.pk)
    if conversation.assignee_id == (assignee.pk if assignee else None):
        return
    conversation.assignee = assignee
    conversation.save(update_fields=["assignee"])
    whom = "nobody" if assignee is None else "themselves" if assignee == agent else assignee.name
    add_event(conversation, f"{agent.name} assigned the conversation to {whom}", agent)
    announce(conversation, "conversation.assigned")


@transaction.atomic
def save_draft(conversation: Conversation, *, agent: Agent, key: uuid.UUID, **fields: str) -> Draft | None:
    """Keep what has been typed. None where the draft with this key has been sent meanwhile."""
    if Part.objects.filter(key=key).exists():
        return None
    draft, _ = Draft.objects.get_or_create(agent=agent, conversation=conversation, defaults={"key": key})
    for name, value in fields.items():
        setattr(draft, name, value)
    draft.save()
    return draft


@transaction.atomic
def attach(draft: Draft, upload: UploadedFile[Any], *, most: int) -> Attachment:
    """Keep a file with the draft. Raises TooLargeError where the draft's files would exceed `most` octets."""
    draft = Draft.objects.select_for_update().get(pk=draft.pk)
    size = upload.size or 0
    total = size + sum(draft.attachments.values_list("size", flat=True))
    name = (upload.name or "attachment")[-255:]
    if total > most:
        raise TooLargeError(
            f"“{name}” has {megabytes(size)}; a message may have {megabytes(most)} of files in all, "
            "since most providers refuse more. Share a link to the file instead."
        )
    content_type = upload.content_type or "application/octet-stream"
    return Attachment.objects.create(
        draft=draft, file=upload, name=name, content_type=content_type[:127], size=size
    )


def _keep_html(part: Part, html: str) -> None:
    """The HTML of a letter, where it says more than the text: in an answer, more than its new words."""
    new = html
    if part.first_version > 1:
        new, _ = formatted.without_history(html, history.without_history(part.body)[0])
    if html and formatted.tells_more(new):
        Formatting.objects.create(part=part, html=html)
        part.is_formatted = True
        part.save(update_fields=["is_formatted"])


def _keep_files(part: Part, files: Sequence[LetterFile], html: str) -> None:
    """The files that came with a letter: all, or none, with StoreError where there is no room for them."""
    kept: list[Attachment] = []
    try:
        for file in files:
            attachment = Attachment(
                part=part,
                name=file.name,
                content_type=file.content_type,
                size=len(file.octets),
                content_id=file.content_id,
                summary=invitation.summary(file.octets) if file.content_type in CALENDARS else "",
                is_inline=part.is_formatted and bool(file.content_id) and f"cid:{file.content_id}" in html,
            )
            kept.append(attachment)
            attachment.file.save(file.name, ContentFile(file.octets))
    except OSError as error:
        for attachment in kept:  # who tries again every second must not fill the disk with what is left over
            attachment.file.delete(save=False)
        raise StoreError(f"could not store {kept[-1].name!r}: {error}") from error


def detach(attachment: Attachment) -> None:
    """Take a file away from a draft: the row first, then the octets."""
    file = attachment.file
    attachment.delete()
    file.delete(save=False)


def megabytes(octets: int) -> str:
    return f"{octets / 1_000_000:.1f} MB"


def touch_health(email: str, **fields: object) -> None:
    """What has been learnt about one address; nothing where no contact has it."""
    Address.objects.with_email(email).update(**fields)
