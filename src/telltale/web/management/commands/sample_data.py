"""`telltale manage sample_data`: an empty desk gets the conversations that the demo shows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.conversations.actions import add_customer_message, create_mailbox, open_conversation
from telltale.conversations.models import Address, Contact, Conversation, Part

# name, addresses (the first wrote last), subject, minutes ago, message, assigned to Maya
CUSTOMERS = [
    (
        "Ana Ribeiro",
        ["ana@oldworks.example", "ana.ribeiro@gmail.example"],
        "Where is my refund?",
        19,
        "Hi, I returned the desk lamp two weeks ago (order 88213) and see no money. Could you check?",
        True,
    ),
    (
        "Kenji Sato",
        ["kenji@yahoo.example"],
        "Export stops at 10,000 rows",
        34,
        "The CSV export of our orders ends after exactly 10,000 rows, every time. Is that a limit?",
        True,
    ),
    (
        "Lena Vogt",
        ["lena@ribeiro.example"],
        "Rechnung für Oktober",
        51,
        "Danke, das hat geklappt. Können Sie mir noch die Nummer der Rechnung für Oktober schicken?",
        False,
    ),
    (
        "Omar Haddad",
        ["omar@outlook.example"],
        "SSO login loop",
        75,
        "Since this morning the sign-in page sends me round in circles: password, code, password again.",
        True,
    ),
    (
        "Priya N.",
        ["priya@corp.example", "priya@icloud.example"],
        "Change plan mid-cycle",
        190,
        "If we move to the yearly plan in the middle of the month, is the rest of the month credited?",
        True,
    ),
    (
        "Tom Baker",
        ["tom@icloud.example"],
        "Webhook signature mismatch",
        310,
        "That was it, the clock on the box was off by an hour. Thank you!",
        False,
    ),
]


class Command(BaseCommand):
    help = "Gives an empty desk an agent, a mailbox and a few conversations. Does nothing on any other."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        if Agent.objects.exists():
            return
        maya = Agent.objects.create_user("maya@lamp.example", None, name="Maya", is_admin=True)
        Agent.objects.create_user("jonas@lamp.example", None, name="Jonas")
        mailbox = create_mailbox(name="Lamp & Co", address="support@lamp.example")
        for name, addresses, subject, minutes, text, is_hers in reversed(CUSTOMERS):
            contact = Contact.objects.create(name=name)
            Address.objects.bulk_create(Address(contact=contact, email=address) for address in addresses)
            conversation = open_conversation(
                mailbox=mailbox, contact=contact, subject=subject, assignee=maya if is_hers else None
            )
            part = add_customer_message(
                conversation,
                from_address=addresses[0],
                body=text,
                message_id=f"<sample-{conversation.pk}@{addresses[0].partition('@')[2]}>",
            )
            _set_back(part, minutes)


def _set_back(part: Part, minutes: int) -> None:
    at = timezone.now() - timedelta(minutes=minutes)
    Part.objects.filter(pk=part.pk).update(created_at=at)
    Conversation.objects.filter(pk=part.conversation_id).update(created_at=at, updated_at=at)
    Address.objects.filter(email=part.from_address).update(last_heard_at=at)
