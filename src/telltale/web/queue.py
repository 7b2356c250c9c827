"""What the queue's pages show: plain values, and the words for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from telltale.bounce import Verdict, explain, knowledge
from telltale.conversations.models import Conversation
from telltale.delivery.browse import Figure, Filter
from telltale.delivery.bulk import Verb, Work
from telltale.delivery.models import Delivery, Incident
from telltale.web.presentation import HELD, PARTY, CodeLine, Fate, code_lines, fate, words_by

LONGEST_WORDS = 160  # characters of a provider's words in a row; the conversation has them whole

STATES = {
    "": "All that is open",
    "waiting": "Waiting now",
    "scheduled": "Scheduled",
    "sending": "Sending",
    "delayed": "Delayed",
    "held": "Held",
    "uncertain": "Uncertain",
    "failed": "Failed",
    "accepted": "Accepted",
    "delivered": "Delivered",
    "cancelled": "Cancelled",
    "any": "Any state",
}
HOLDS = {
    Delivery.Hold.ADDRESS.value: "Dead address",
    Delivery.Hold.INCIDENT.value: "Incident",
    Delivery.Hold.MAILBOX.value: "Paused mailbox",
    Delivery.Hold.PERSON.value: "By a person",
}
SPANS = {
    "10m": "10 minutes",
    "1h": "an hour",
    "6h": "6 hours",
    "1d": "a day",
    "3d": "3 days",
}
_FILTERS = {
    "state": "state",
    "held": "held because",
    "destination": "destination",
    "provider": "provider",
    "mailbox": "mailbox",
    "recipient": "recipient",
    "reason": "reason",
    "incident": "incident",
    "older_than": "older than",
}


@dataclass(frozen=True, slots=True)
class VerbWords:
    button: str
    heading: str
    done: str  # "3 deliveries …"


VERBS = {
    Verb.RETRY: VerbWords("Try again now", "Try again", "queued for another try"),
    Verb.HOLD: VerbWords("Hold", "Hold deliveries", "held"),
    Verb.RELEASE: VerbWords("Release", "Release deliveries", "released"),
    Verb.CANCEL: VerbWords("Cancel", "Cancel deliveries", "cancelled"),
}


@dataclass(frozen=True, slots=True)
class Row:
    delivery: Delivery
    conversation: Conversation
    fate: Fate
    words: str  # the beginning of what was said last
    since: datetime


def row(delivery: Delivery) -> Row:
    newest = next(iter(delivery.reports.all()), None)
    return Row(
        delivery=delivery,
        conversation=delivery.message.part.conversation,
        fate=fate(delivery),
        words=" ".join(newest.diagnostic_text.split())[:LONGEST_WORDS] if newest else "",
        since=delivery.settled_at or delivery.created_at,
    )


@dataclass(frozen=True, slots=True)
class ShownFigure:
    figure: Figure
    title: str
    query: str

    @property
    def is_alarming(self) -> bool:
        return self.figure.state in ("held", "uncertain") and bool(self.figure.count)


def shown_figure(figure: Figure) -> ShownFigure:
    if figure.held:
        title = f"held: {HELD[Delivery.Hold(figure.held)]}"
        return ShownFigure(figure, title, urlencode({"held": figure.held}))
    return ShownFigure(figure, STATES[figure.state].lower(), urlencode({"state": figure.state}))


@dataclass(frozen=True, slots=True)
class IncidentView:
    incident: Incident
    verdict: Verdict
    headline: str
    party: str
    words: Sequence[CodeLine]
    words_by: str  # "" where nobody but us spoke
    deliveries: str  # the query that lists them

    @property
    def is_open(self) -> bool:
        return self.incident.closed_at is None

    @property
    def is_everywhere(self) -> bool:
        return not self.incident.provider


def incident_view(incident: Incident) -> IncidentView:
    report = incident.report.as_recipient_report()
    verdict = explain(report)
    query = {"reason": incident.reason, "state": "any"}
    return IncidentView(
        incident=incident,
        verdict=verdict,
        headline=_headline(incident),
        party=PARTY[verdict.party],
        words=code_lines(report.diagnostic_code.text),
        words_by=words_by(incident.report, verdict),
        deliveries=urlencode({"incident": incident.pk} if incident.provider else query),
    )


def _headline(incident: Incident) -> str:
    reason = knowledge.reasons().get(incident.reason)
    title = reason.title if reason else incident.reason
    over = "" if incident.closed_at is None else " (over)"
    return f"{incident.provider or 'Several providers at once'}: {title}{over}"


def said_of(work: Work) -> str:
    """What was done and what was not possible, in a sentence or two."""
    return " ".join(_said_of(work))


def _said_of(work: Work) -> Iterator[str]:
    words = VERBS[work.verb].done
    if work.done or not work.refused:
        yield f"{_deliveries(work.done)} {words}."
    for why, number in sorted(work.refused.items()):
        yield f"{number:,} {'was' if number == 1 else 'were'} {why}."


def _deliveries(number: int) -> str:
    if number == 0:
        return "No delivery was"
    return f"{number:,} {'delivery was' if number == 1 else 'deliveries were'}"


def filter_in_words(chosen: Filter) -> str:
    """ "state delayed, destination example.com"; "" for one that asks for nothing."""
    return ", ".join(f"{_FILTERS[name]} {value}" for name, value in chosen.words().items())


def said_of_limit(destination: str, per_minute: int | None, *, is_known: bool) -> str:
    pace = f"at most {per_minute:,} tries in a minute" if per_minute else "no limit of ours"
    unknown = "" if is_known else " No mail has gone there yet: look whether it is spelt right."
    return f"{destination}: {pace}.{unknown}"
