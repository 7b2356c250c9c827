"""What agents do about replies: send, try again, send elsewhere, take back, mark as handled.

Each verb is one transaction, locks the conversation first, and can be repeated without doing its work twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.conversations.actions import add_event, add_part, advance, announce, contact_for, show_peek
from telltale.conversations.models import Conversation, Draft, Mailbox, Part
from telltale.delivery.composing import Recipient, write_again, write_message
from telltale.delivery.destinations import destination_of
from telltale.delivery.holds import hold, last_proof, reason_to_hold
from telltale.delivery.models import Delivery, DeliveryNote, OutgoingMessage
from telltale.delivery.notes import close_note, mark_reply_changed, refresh_alert
from telltale.delivery.states import Event, State, can
from telltale.events.bell import QUEUE, ring
from telltale.mail.message import new_message_id


class StaleError(Exception):
    """Somebody wrote in this conversation after the page was drawn. The text says who."""


class NotPossibleError(Exception):
    """The verb no longer fits what the delivery has become. The text says what it is now."""


@transaction.atomic
def send_reply(
    conversation: Conversation,
    *,
    agent: Agent,
    recipients: Sequence[Recipient],
    body: str,
    key: uuid.UUID,
    seen_version: int | None = None,
    leave_at: datetime | None = None,
    override_holds: bool = False,
) -> Part:
    """The reply, one delivery for each recipient, and the bell for the workers: all or nothing.

    It leaves at `leave_at`, by default when the time to undo it is over. What goes to an address that is known
    to be dead is held, unless `override_holds`. The same key a second time gives the part of the first time.
    With `seen_version`, raises StaleError where a message or reply came in that the page behind the form did
    not show.
    """
    conversation = advance(conversation.pk)
    existing = Part.objects.filter(key=key).first()
    if existing:
        return existing
    if seen_version is not None:
        _refuse_stale(conversation, seen_version, agent)
    part = add_part(
        conversation,
        Part.Kind.REPLY,
        agent=agent,
        body=body,
        key=key,
        from_address=conversation.mailbox.address,
        message_id=new_message_id(conversation.mailbox.domain),
    )
    draft = Draft.objects.filter(agent=agent, conversation=conversation).first()
    if draft:
        draft.attachments.update(part=part, draft=None)
        draft.delete()
    leave_at = leave_at or timezone.now() + settings.UNDO_SEND
    message = write_message(part, recipients, message_id=part.message_id, date=leave_at)
    _queue(conversation, message, recipients, leave_at=leave_at, overridden=override_holds)
    announce(conversation, "reply.queued", part=part.pk)
    return part


ONCE_IN = timedelta(days=1)  # RFC 3834 section 2 asks for days rather than hours


@transaction.atomic
def acknowledge(message: Part) -> Part | None:
    """Tell who wrote this that it has arrived, in the words of the mailbox; None where they heard so within a day."""
    conversation = advance(message.conversation_id)
    heard = Delivery.objects.filter(
        recipient__iexact=message.from_address,
        message__part__kind=Part.Kind.ACKNOWLEDGEMENT,
        created_at__gt=timezone.now() - ONCE_IN,
    )
    if heard.exists():
        return None
    mailbox = conversation.mailbox
    part = add_part(
        conversation,
        Part.Kind.ACKNOWLEDGEMENT,
        body=mailbox.acknowledgement,
        from_address=mailbox.address,
        message_id=new_message_id(mailbox.domain),
    )
    recipients = [Recipient(Delivery.Role.TO, message.from_address)]
    mail = write_message(part, recipients, message_id=part.message_id, date=timezone.now())
    _queue(conversation, mail, recipients, leave_at=timezone.now())
    announce(conversation, "acknowledgement.queued", part=part.pk)
    return part


@transaction.atomic
def start_conversation(
    *,
    mailbox: Mailbox,
    agent: Agent,
    recipients: Sequence[Recipient],
    subject: str,
    body: str,
    key: uuid.UUID,
) -> Part:
    """A conversation that we begin. Its contact is the first recipient."""
    existing = Part.objects.filter(key=key).first()
    if existing:
        return existing
    contact = contact_for(recipients[0].address, name=recipients[0].name)
    conversation = Conversation.objects.create(
        mailbox=mailbox, contact=contact, subject=subject, assignee=agent
    )
    return send_reply(conversation, agent=agent, recipients=recipients, body=body, key=key)


@transaction.atomic
def take_back(part: Part, *, agent: Agent) -> Draft:
    """Undo a reply that has not left: it becomes a line that says so, its words and files a draft again.

    Raises NotPossibleError where any of it has been tried.
    """
    conversation = advance(part.conversation_id)
    part = Part.objects.select_for_update().get(pk=part.pk)
    deliveries = list(Delivery.objects.select_for_update().filter(message__part=part).order_by("pk"))
    if not deliveries or not all(delivery.is_scheduled for delivery in deliveries):
        raise NotPossibleError("This reply is on its way and cannot be taken back.")
    draft = _draft_again(conversation, part, deliveries, agent)
    for message in part.messages.all():
        file = message.content
        message.delete()
        transaction.on_commit(partial(file.delete, save=False))
    part.kind, part.message_id, part.from_address = Part.Kind.EVENT, "", ""
    part.body = f"{agent.name} took back a reply before it left"
    part.version = conversation.version
    part.save()
    show_peek(conversation)
    announce(conversation, "reply.taken_back", part=part.pk)
    return draft


def _draft_again(
    conversation: Conversation, part: Part, deliveries: Sequence[Delivery], agent: Agent
) -> Draft:
    """The draft with what the reply held; what has been typed since stands behind it."""
    draft, is_new = Draft.objects.get_or_create(agent=agent, conversation=conversation)
    draft.body = part.body if is_new or not draft.body.strip() else f"{part.body}\n\n{draft.body}"
    for role in Delivery.Role:
        named = [delivery.recipient for delivery in deliveries if delivery.role == role]
        setattr(draft, role.value, ", ".join(named))
    draft.save()
    part.attachments.update(part=None, draft=draft)
    return draft


@transaction.atomic
def send_now(part: Part, *, agent: Agent) -> None:
    """Do not wait any longer. Raises NotPossibleError where nothing of it waits for its time."""
    conversation = advance(part.conversation_id)
    deliveries = Delivery.objects.select_for_update().filter(message__part=part).order_by("pk")
    waiting = [delivery for delivery in deliveries if delivery.is_scheduled]
    if not waiting:
        raise NotPossibleError("This reply is on its way already.")
    now = timezone.now()
    for message in part.messages.all():
        write_again(message, date=now)
    for delivery in waiting:
        delivery.move(Event.RETRIED, next_attempt_at=now)
        delivery.queued_at = now
        delivery.save()
    part.version = conversation.version
    part.save(update_fields=["version"])
    announce(conversation, "reply.queued", part=part.pk)
    ring(QUEUE)


@transaction.atomic
def retry(delivery: Delivery, *, agent: Agent, at: datetime | None = None) -> None:
    """Try the same mail to the same address again, at once or at a time. Same Message-ID: a copy that
    arrived after all is the same mail to most readers.
    """
    conversation, delivery = _locked(delivery)
    _refuse_impossible(delivery, Event.RETRIED)
    if delivery.mailbox.paused_at:
        raise NotPossibleError("This mailbox is paused: nothing leaves before it goes on.")
    now = timezone.now()
    when = max(at or now, now)
    delivery.overridden = True  # a person has looked at it: no hold stops it a second time
    delivery.move(Event.RETRIED, next_attempt_at=when)
    delivery.queued_at = when  # the lifetime counts anew
    delivery.save()
    close_note(delivery, DeliveryNote.Closed.RETRIED, conversation=conversation, agent=agent)
    _changed(conversation, delivery, "delivery.retried")
    ring(QUEUE)


@transaction.atomic
def send_to_another_address(delivery: Delivery, *, agent: Agent, address: str) -> Delivery:
    """The same reply to another address. Raises NotPossibleError where it already goes there."""
    conversation, delivery = _locked(delivery)
    part = delivery.message.part
    taken = Delivery.objects.filter(message__part=part, recipient__iexact=address)
    if taken.exclude(state__in=[State.FAILED, State.CANCELLED]).exists():
        raise NotPossibleError(f"This reply already goes to {address}: look at its state under the reply.")
    if delivery.state not in (State.FAILED, State.UNCERTAIN, State.DELAYED, State.QUEUED, State.HELD):
        raise NotPossibleError(f"The delivery to {delivery.recipient} is {delivery.state} by now.")
    recipient, now = Recipient(Delivery.Role(delivery.role), address), timezone.now()
    message = write_message(
        part,
        [recipient, *_others(part, delivery)],
        message_id=new_message_id(conversation.mailbox.domain),
        date=now,
    )
    [alternative] = _queue(
        conversation, message, [recipient], leave_at=now, overridden=True, replaces=delivery
    )
    if can(State(delivery.state), Event.CANCELLED):
        delivery.move(Event.CANCELLED)
        delivery.save()
    close_note(delivery, DeliveryNote.Closed.REDIRECTED, conversation=conversation, agent=agent)
    add_event(
        conversation, f"{agent.name} sent the reply to {address} instead of {delivery.recipient}", agent
    )
    _changed(conversation, delivery, "delivery.redirected")
    return alternative


@transaction.atomic
def cancel(delivery: Delivery, *, agent: Agent) -> None:
    """Take back what has not left yet."""
    conversation, delivery = _locked(delivery)
    _refuse_impossible(delivery, Event.CANCELLED)
    delivery.move(Event.CANCELLED)
    delivery.save()
    close_note(delivery, DeliveryNote.Closed.CANCELLED, conversation=conversation, agent=agent)
    add_event(conversation, f"{agent.name} cancelled the delivery to {delivery.recipient}", agent)
    _changed(conversation, delivery, "delivery.cancelled")


@transaction.atomic
def mark_handled(note: DeliveryNote, *, agent: Agent) -> None:
    """Somebody has taken care of it in another way. The delivery stays what it is."""
    conversation, delivery = _locked(note.delivery)
    close_note(delivery, DeliveryNote.Closed.HANDLED, conversation=conversation, agent=agent)
    _changed(conversation, delivery, "note.handled")


def _locked(delivery: Delivery) -> tuple[Conversation, Delivery]:
    conversation = advance(delivery.message.part.conversation_id)
    return conversation, Delivery.objects.select_for_update().get(pk=delivery.pk)


def _refuse_impossible(delivery: Delivery, event: Event) -> None:
    if not can(State(delivery.state), event):
        raise NotPossibleError(f"The delivery to {delivery.recipient} is {delivery.state} by now.")


def _changed(conversation: Conversation, delivery: Delivery, name: str) -> None:
    mark_reply_changed(conversation, delivery.message)
    refresh_alert(conversation)
    announce(conversation, name, delivery=delivery.pk)


def _refuse_stale(conversation: Conversation, seen_version: int, agent: Agent) -> None:
    newer = (
        conversation.parts.filter(first_version__gt=seen_version)
        .filter(kind__in=[Part.Kind.CUSTOMER_MESSAGE, Part.Kind.REPLY])
        .exclude(agent=agent)
        .select_related("agent", "contact")
        .last()
    )
    if newer:
        who = newer.agent or newer.contact
        raise StaleError(f"{who} wrote here while you were writing. Read it, then send if it still fits.")


def _others(part: Part, replaced: Delivery) -> list[Recipient]:
    """Who else the mail says it went to: they stay in To and Cc, though it is not sent to them again."""
    siblings = Delivery.objects.filter(message=replaced.message).exclude(pk=replaced.pk)
    return [
        Recipient(Delivery.Role(sibling.role), sibling.recipient)
        for sibling in siblings
        if sibling.role != Delivery.Role.BCC
    ]


def _queue(
    conversation: Conversation,
    message: OutgoingMessage,
    recipients: Sequence[Recipient],
    *,
    leave_at: datetime,
    overridden: bool = False,
    replaces: Delivery | None = None,
) -> list[Delivery]:
    """One delivery for each recipient; those that must wait are held, with a note that says why."""
    mailbox = conversation.mailbox
    deliveries = Delivery.objects.bulk_create(
        Delivery(
            message=message,
            mailbox=mailbox,
            recipient=recipient.address,
            domain=recipient.domain,
            destination=destination_of(mailbox, recipient.domain),
            role=recipient.role,
            replaces=replaces,
            queued_at=leave_at,
            next_attempt_at=leave_at,
            overridden=overridden,
        )
        for recipient in recipients
    )
    for delivery in deliveries:
        because = reason_to_hold(delivery)
        if because:
            evidence = last_proof(delivery.recipient) if because == Delivery.Hold.ADDRESS else None
            hold(conversation, delivery, because, report=evidence)
    refresh_alert(conversation)
    ring(QUEUE)
    return deliveries
