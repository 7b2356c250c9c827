"""The lists of conversations: which views there are, what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.conversations.models import Conversation, ImapFolder, RawMail

PAGE = 50  # rows of a list
TROUBLE_LASTS = timedelta(minutes=1)  # a server that starts anew is away for less

OPEN = Q(state=Conversation.State.OPEN)


@dataclass(frozen=True, slots=True)
class View:
    slug: str
    title: str
    heading: str  # of the group in the rail
    condition: Q
    alert: bool = False
    counted: bool = True
    of_agent: bool = False

    def filter_for(self, agent: Agent) -> Q:
        return self.condition & Q(assignee=agent) if self.of_agent else self.condition


VIEWS = [
    View("mine", "Mine", "Inbox", OPEN, of_agent=True),
    View("unassigned", "Unassigned", "Inbox", OPEN & Q(assignee=None)),
    View("open", "All open", "Inbox", OPEN),
    View("closed", "Closed", "Inbox", Q(state=Conversation.State.CLOSED), counted=False),
    View("failed", "Not delivered", "Delivery", Q(alert__in=["failed", "uncertain"]), alert=True),
    View("delayed", "Delayed", "Delivery", Q(alert__in=["delayed", "held"])),
]
BY_SLUG = {view.slug: view for view in VIEWS}


@dataclass(frozen=True, slots=True)
class RailEntry:
    view: View
    count: int | None


def rail(agent: Agent) -> list[RailEntry]:
    """The views with their counts, in one query."""
    counted = {view.slug: Count("pk", filter=view.filter_for(agent)) for view in VIEWS if view.counted}
    counts = Conversation.objects.filter(OPEN | ~Q(alert="")).aggregate(**counted)
    return [RailEntry(view, counts.get(view.slug)) for view in VIEWS]


def not_fetched() -> QuerySet[ImapFolder]:
    """Where customers' mail should be fetched and has not been for some time: nobody would miss it otherwise."""
    lasting = Q(fault_since__lt=timezone.now() - TROUBLE_LASTS)
    return ImapFolder.objects.filter(lasting).select_related("account__mailbox")


def unread_mails() -> int:
    """Mails that this desk failed to read: somebody may wait for an answer to one of them."""
    return RawMail.objects.filter(fate=RawMail.Fate.FAULT).count()


def conversations(view: View, agent: Agent) -> QuerySet[Conversation]:
    """The newest of a view."""
    return (
        Conversation.objects.filter(view.filter_for(agent))
        .select_related("contact", "assignee")
        .prefetch_related("contact__addresses")
        .order_by("-updated_at", "-id")[:PAGE]
    )
