"""Looking into the queue: which deliveries there are, how many, and why they wait. For pages and commands alike.

Rule 1: rows come by an index, 50 at a time by id, and a count stops at MOST: a million rows cost what fifty do.
Rule 2: what a person asks for may still mean a long search. `within` ends it, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta

import psycopg
from django.db import OperationalError, connection, transaction
from django.db.models import F, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Lower
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.bounce import knowledge
from telltale.conversations.models import Mailbox
from telltale.delivery.models import AT_ONCE, Attempt, Delivery, DeliveryNote, Destination, Incident, Report
from telltale.delivery.states import State
from telltale.events.models import Event

PAGE = 50  # rows of a list
MOST = 10_000  # rows that are counted one by one; beyond, "10,000+" says enough
EVENTS_BACK = 20_000  # of the newest events, in which we look for who paused a mailbox
LANES = 100  # destinations that a page lists

OPEN = (State.QUEUED, State.SENDING, State.DELAYED, State.HELD, State.UNCERTAIN)  # not settled yet

_SPAN = re.compile(r"(\d{1,6})\s?([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class BadFilterError(ValueError):
    """The text says what is wrong with the filter, and what can be asked for."""


class TooSlowError(Exception):
    """This would take longer than anybody waits for a page."""


def _scheduled() -> Q:
    return Q(state=State.QUEUED, attempt_count=0, next_attempt_at__gt=timezone.now())


def _waiting() -> Q:
    return Q(state=State.QUEUED) & (Q(attempt_count__gt=0) | Q(next_attempt_at__lte=timezone.now()))


def _is(state: State) -> Callable[[], Q]:
    return lambda: Q(state=state)


_STATES: Mapping[str, Callable[[], Q]] = {
    "open": lambda: Q(state__in=OPEN),
    "waiting": _waiting,
    "scheduled": _scheduled,
    **{state.value: _is(state) for state in State if state != State.QUEUED},
    "any": Q,
}
STATES = tuple(_STATES)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which deliveries are meant. What is empty asks for nothing; `state` "" is "open", all that is not settled."""

    state: str = ""
    held: str = ""
    destination: str = ""
    provider: str = ""
    mailbox: str = ""
    recipient: str = ""  # an address, or a part of one
    reason: str = ""  # of the newest report
    incident: str = ""
    older_than: str = ""  # "30m", "2h", "3d": queued longer ago than that
    ids: tuple[int, ...] = ()

    @classmethod
    def parse(cls, words: Mapping[str, str | None], *, ids: Sequence[int] = ()) -> Filter:
        """From what somebody typed or chose. Raises BadFilterError."""
        names = [field.name for field in fields(cls) if field.name != "ids"]
        given = {name: (words.get(name) or "").strip() for name in names}
        _refuse_unknown("state", given["state"], STATES)
        _refuse_unknown("hold", given["held"], Delivery.Hold.values)
        _refuse_unknown("reason", given["reason"], list(knowledge.reasons()))
        if given["incident"] and not re.fullmatch(r"[0-9]{1,18}", given["incident"]):
            raise BadFilterError(f"“{given['incident']}” is no number of an incident.")
        if given["older_than"]:
            span(given["older_than"])
        if any("\0" in text for text in given.values()):
            raise BadFilterError("A filter has no NUL in it.")
        return cls(**given, ids=tuple(ids))

    @property
    def is_empty(self) -> bool:
        return self == Filter()

    def words(self) -> dict[str, str]:
        """What is asked for, as `parse` takes it; without the ids."""
        names = [field.name for field in fields(self) if field.name != "ids"]
        return {name: getattr(self, name) for name in names if getattr(self, name)}


def span(text: str) -> timedelta:
    """The time that "30m", "2h" or "3d" means. Raises BadFilterError."""
    found = _SPAN.fullmatch(text.strip())
    if not found:
        raise BadFilterError(f"“{text}” is no span of time: write 30m, 2h or 3d.")
    return int(found[1]) * _UNITS[found[2]]


def _refuse_unknown(what: str, given: str, known: Sequence[str]) -> None:
    if given and given not in known:
        raise BadFilterError(f"There is no {what} “{given}”. There are: {', '.join(known)}.")


def deliveries(chosen: Filter) -> QuerySet[Delivery]:
    """All that match, in no order. Ids that are named count whatever has become of their deliveries."""
    state = chosen.state or ("any" if chosen.ids or chosen.incident else "open")
    found = Delivery.objects.filter(_STATES[state]()).order_by()
    if chosen.ids:
        found = found.filter(pk__in=chosen.ids)
    if chosen.held:
        found = found.filter(state=State.HELD, held_because=chosen.held)
    if chosen.destination:
        found = found.filter(destination=chosen.destination.lower())
    if chosen.provider:  # who answered last at each destination
        lanes = Destination.objects.filter(provider__iexact=chosen.provider)
        found = found.filter(destination__in=lanes.values("name"))
    if chosen.mailbox:
        ids = Mailbox.objects.filter(address__iexact=chosen.mailbox).values_list("pk", flat=True)
        found = found.filter(mailbox__in=list(ids))
    if chosen.incident:
        found = found.filter(incident=int(chosen.incident))
    if chosen.older_than:
        found = found.filter(queued_at__lt=timezone.now() - span(chosen.older_than))
    found = _for_recipient(found, chosen.recipient.lower()) if chosen.recipient else found
    return _for_reason(found, chosen.reason) if chosen.reason else found


def _for_recipient(found: QuerySet[Delivery], text: str) -> QuerySet[Delivery]:
    """A whole address comes by its index; a part of one is looked for in what else the filter leaves."""
    found = found.annotate(address=Lower("recipient"))
    local, at, domain = text.partition("@")
    return (
        found.filter(address=text) if local and at and "." in domain else found.filter(address__contains=text)
    )


def _for_reason(found: QuerySet[Delivery], reason: str) -> QuerySet[Delivery]:
    newest = Report.objects.filter(delivery=OuterRef("pk")).order_by("-pk").values("reason")[:1]
    with_it = Report.objects.filter(reason=reason).values("delivery")  # comes by its index
    return found.filter(pk__in=with_it).alias(newest_reason=Subquery(newest)).filter(newest_reason=reason)


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; `is_more` where there are more than we counted."""

    number: int
    is_more: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}{'+' if self.is_more else ''}"

    def __bool__(self) -> bool:
        return self.number > 0


def count(found: QuerySet[Delivery], *, most: int = MOST) -> Count:
    number = found.order_by()[: most + 1].count()
    return Count(min(number, most), is_more=number > most)


@dataclass(frozen=True, slots=True)
class Page:
    rows: Sequence[Delivery]  # the newest first
    before: int | None  # the id before which the next page begins; None at the end


def page(chosen: Filter, *, before: int | None = None, size: int = PAGE) -> Page:
    """One page of what matches, with all that a row shows, in a number of queries that does not grow."""
    found = deliveries(chosen)
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(_for_rows(found).order_by("-pk")[: size + 1])
    return Page(rows[:size], rows[size - 1].pk if len(rows) > size else None)


def _for_rows(found: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Of attempts and reports the newest alone: there can be dozens, with transcripts of their own."""
    attempts = Attempt.objects.defer("transcript").order_by("delivery_id", "-number").distinct("delivery_id")
    reports = Report.objects.order_by("delivery_id", "-pk").distinct("delivery_id")
    return found.select_related("mailbox", "message__part__conversation").prefetch_related(
        Prefetch("attempts", attempts),
        Prefetch("reports", reports),
        Prefetch("notes", DeliveryNote.objects.filter(closed_at=None)),
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """How many are in one state; `held` where it is one kind of hold."""

    state: str
    held: str
    count: Count


# One walk over what is queued gives two figures: what waits for now, and what waits for its time.
_FIGURES = """
SELECT queued.scheduled, queued.number - queued.scheduled, queued.number,
    (SELECT count(*) FROM (SELECT FROM delivery_delivery WHERE state = 'sending' LIMIT %(most)s) AS seen),
    (SELECT count(*) FROM (SELECT FROM delivery_delivery WHERE state = 'delayed' LIMIT %(most)s) AS seen),
    (SELECT count(*) FROM (SELECT FROM delivery_delivery WHERE state = 'uncertain' LIMIT %(most)s) AS seen)
FROM (
    SELECT count(*) AS number,
        count(*) FILTER (WHERE attempt_count = 0 AND next_attempt_at > %(now)s) AS scheduled
    FROM (
        SELECT attempt_count, next_attempt_at FROM delivery_delivery WHERE state = 'queued' LIMIT %(most)s
    ) AS seen
) AS queued
"""


def figures() -> list[Figure]:
    """What is open, state by state, in the order in which a delivery goes through them."""
    with connection.cursor() as cursor:
        cursor.execute(_FIGURES, {"most": MOST + 1, "now": timezone.now()})
        scheduled, waiting, queued, sending, delayed, uncertain = cursor.fetchone()
    is_more = queued > MOST  # either may be more than was seen
    return [
        Figure("waiting", "", Count(min(waiting, MOST), is_more)),
        Figure("scheduled", "", Count(min(scheduled, MOST), is_more)),
        Figure("sending", "", _capped(sending)),
        Figure("delayed", "", _capped(delayed)),
        *(Figure("held", hold, count(deliveries(Filter(held=hold)))) for hold in Delivery.Hold.values),
        Figure("uncertain", "", _capped(uncertain)),
    ]


def _capped(number: int) -> Count:
    return Count(min(number, MOST), is_more=number > MOST)


def open_incidents() -> QuerySet[Incident]:
    return _with_evidence().filter(closed_at=None).order_by("-opened_at")


def past_incidents(most: int = 20) -> QuerySet[Incident]:
    return _with_evidence().exclude(closed_at=None).order_by("-closed_at")[:most]


def _with_evidence() -> QuerySet[Incident]:
    return Incident.objects.select_related("report", "closed_by")


def needs_a_look() -> int:
    """What the navigation counts: open incidents, and what is held, up to a hundred."""
    held = Delivery.objects.filter(state=State.HELD).order_by()[:100].count()
    return Incident.objects.filter(closed_at=None).count() + held


def slow_lanes() -> QuerySet[Destination]:
    """The destinations that have not their full pace: slowed, blocked for a while, or limited by an admin."""
    is_slow = Q(at_once__lt=AT_ONCE) | Q(blocked_until__gt=timezone.now()) | Q(per_minute__isnull=False)
    return Destination.objects.filter(is_slow).order_by(F("blocked_until").desc(nulls_last=True), "name")[
        :LANES
    ]


def who_paused(mailbox: Mailbox) -> Agent | None:
    """The agent who paused it, as far as the newest events tell."""
    newest = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    paused = Event.objects.filter(
        pk__gt=newest - EVENTS_BACK, name="mailbox.paused", ids__mailbox=mailbox.pk
    ).last()
    return Agent.objects.filter(pk=paused.ids.get("agent")).first() if paused else None


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends a search that takes longer than this: raises TooSlowError."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(int(seconds * 1000))])
            yield
            cursor.execute("SELECT set_config('statement_timeout', '0', true)")
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise TooSlowError from error
        raise
