"""What the templates show of a reply, its deliveries and its notes: plain values, no queries of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.timesince import timesince

from telltale.accounts.models import Agent
from telltale.bounce import Party, Retry, Verdict, explain
from telltale.channels.services import SERVICES
from telltale.conversations.models import Address, Part
from telltale.delivery.models import Attempt, Delivery, DeliveryNote, Report
from telltale.delivery.reports import FROM_OUTSIDE
from telltale.delivery.states import Event, State, can
from telltale.mail.report import Action
from telltale.mail.typos import suggest_domain

PARTY = {
    Party.RECIPIENT: "the recipient’s address or mailbox",
    Party.PROVIDER: "the recipient’s provider",
    Party.US: "us: our set-up or our reputation",
    Party.MESSAGE: "this message",
    Party.NETWORK: "the network between us",
    Party.UNKNOWN: "unclear",
}
STANDING = {
    State.QUEUED: "is still on its way",
    State.SENDING: "is still on its way",
    State.DELAYED: "is delayed",
    State.ACCEPTED: "was accepted",
    State.DELIVERED: "was delivered",
    State.FAILED: "was not reached",
    State.UNCERTAIN: "is uncertain",
    State.CANCELLED: "was cancelled",
    State.HELD: "is held",
}
TOLD = {
    Action.FAILED: "not delivered",
    Action.DELAYED: "not yet delivered, it tries again",
    Action.RELAYED: "the recipient’s mail server took it",
    Action.DELIVERED: "delivered",
    Action.EXPANDED: "sent on to several addresses",
}
HELD = {
    Delivery.Hold.ADDRESS: "dead address",
    Delivery.Hold.INCIDENT: "its provider takes no mail of ours",
    Delivery.Hold.MAILBOX: "mailbox paused",
    Delivery.Hold.PERSON: "by a person",
}
_CODE = re.compile(r"(\d{3}[- ](?:[245]\.\d{1,3}\.\d{1,3})?|\d{3}$)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fate:
    """The chip of one recipient under a reply."""

    delivery: Delivery
    kind: str  # CSS class and icon: waiting, accepted, delivered, delayed, failed, uncertain, cancelled
    text: str  # "550-5.1.1", "accepted in 0.8 s"
    at: datetime | None = None  # a time that belongs to the text
    title: str = ""


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of a reply: the code is set off, no letter is changed."""

    code: str
    rest: str


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    at: datetime
    text: str
    code: str = ""
    attempt: Attempt | None = None
    mail_id: int | None = None  # of the stored mail that says so


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another address that the same reply can go to."""

    address: str
    is_guess: bool = False  # the failed address without its likely typo
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class NoteView:
    note: DeliveryNote
    delivery: Delivery
    verdict: Verdict | None  # None where a hold has no refusal behind it
    whose_reply: str
    party: str
    words: Sequence[CodeLine]
    words_by: str
    others: Sequence[str]
    evidence: str
    timeline: Sequence[TimelineEntry]
    tries: int
    alternatives: Sequence[Alternative] = ()  # the best first
    can_retry: bool = False
    can_cancel: bool = False
    hold: str = ""  # why it is held, in a sentence or two

    @property
    def is_open(self) -> bool:
        return self.note.closed_at is None

    @property
    def headline(self) -> str:
        """What the note says before the address."""
        said = {
            "failed": "did not reach",
            "uncertain": "may not have reached",
            "delayed": "has not yet reached",
            "held": "is held and has not gone to",
        }
        return f"{self.whose_reply} {said[self.note.kind]}"

    @property
    def has_words(self) -> bool:
        return any(line.code or line.rest for line in self.words)

    @property
    def is_held(self) -> bool:
        return self.note.kind == DeliveryNote.Kind.HELD

    @property
    def is_delayed(self) -> bool:
        return self.note.kind == DeliveryNote.Kind.DELAYED

    @property
    def retry_is_best(self) -> bool:
        return (
            not self.alternatives
            and not self.is_delayed
            and self.verdict is not None
            and self.verdict.retry in (Retry.LATER, Retry.AUTOMATIC, Retry.UNCLEAR)
        )


def fates(part: Part) -> list[Fate]:
    """The chips under a reply, in the order of its recipients."""
    return [fate(delivery) for message in part.messages.all() for delivery in message.deliveries.all()]


def leaves_at(part: Part) -> datetime | None:
    """When a reply goes out that has not left yet and can be taken back whole; None for any other."""
    deliveries = [delivery for message in part.messages.all() for delivery in message.deliveries.all()]
    if not deliveries or not all(delivery.is_scheduled for delivery in deliveries):
        return None
    return min(delivery.next_attempt_at for delivery in deliveries if delivery.next_attempt_at)


def fate(delivery: Delivery) -> Fate:
    """What has become of one delivery, in as many words as a chip has room for."""
    return _FATES[State(delivery.state)](delivery)


def _queued(delivery: Delivery) -> Fate:
    if delivery.is_scheduled:
        return Fate(delivery, "waiting", "goes out", at=delivery.next_attempt_at)
    if delivery.next_attempt_at and delivery.next_attempt_at > timezone.now():
        return Fate(delivery, "waiting", "to be tried", at=delivery.next_attempt_at)
    return Fate(delivery, "waiting", "queued")


def _delayed(delivery: Delivery) -> Fate:
    code = code_of(delivery)
    words = f"delayed · {code} · next try" if code else "delayed · next try"
    return Fate(delivery, "delayed", words, at=delivery.next_attempt_at)


def _accepted(delivery: Delivery) -> Fate:
    if any(note.kind == note.Kind.DELAYED and note.closed_at is None for note in delivery.notes.all()):
        return Fate(delivery, "delayed", "accepted, then reported as delayed")
    if _is_at_their_server(delivery):
        title = "The recipient’s mail server took it. Whether it reached the mailbox, nobody has said."
        return Fate(delivery, "accepted", "accepted by their server", title=title)
    title = "The next mail server took it. Whether it reached the mailbox, nobody has said."
    return Fate(delivery, "accepted", f"accepted{_took(delivery)}", title=title)


_FATES: dict[State, Callable[[Delivery], Fate]] = {
    State.QUEUED: _queued,
    State.SENDING: lambda delivery: Fate(delivery, "waiting", "sending…"),
    State.DELAYED: _delayed,
    State.ACCEPTED: _accepted,
    State.DELIVERED: lambda delivery: Fate(
        delivery, "delivered", "delivered", title="A report says that it is in the mailbox."
    ),
    State.FAILED: lambda delivery: Fate(delivery, "failed", code_of(delivery) or "not delivered"),
    State.UNCERTAIN: lambda delivery: Fate(delivery, "uncertain", "uncertain: handed over, no answer"),
    State.CANCELLED: lambda delivery: Fate(delivery, "cancelled", "cancelled"),
    State.HELD: lambda delivery: Fate(
        delivery, "held", f"held: {HELD[Delivery.Hold(delivery.held_because)]}"
    ),
}


def _is_at_their_server(delivery: Delivery) -> bool:
    """Whether the service that took it on the last try says so; an event of an earlier try says nothing of this."""
    attempt = _last_attempt(delivery)
    return attempt is not None and any(
        report.source == Report.Source.SERVICE
        and report.action == Action.RELAYED
        and report.heard_at >= attempt.started_at
        for report in delivery.reports.all()
    )


def _last_attempt(delivery: Delivery) -> Attempt | None:
    return max(delivery.attempts.all(), key=lambda attempt: attempt.number, default=None)


def _took(delivery: Delivery) -> str:
    attempt = _last_attempt(delivery)
    if attempt is None or attempt.ended_at is None:
        return ""
    if attempt.number > 1:
        return f" on try {attempt.number}"
    return f" in {max((attempt.ended_at - delivery.queued_at).total_seconds(), 0.01):.2g} s"


def code_of(delivery: Delivery) -> str:
    """The code of the newest report that has one: "550-5.1.1", or "" where nobody gave a code."""
    for report in reversed(delivery.reports.all()):
        given = report.as_recipient_report()
        if given.reply_code or given.status:
            return "-".join(str(code) for code in (given.reply_code, given.status) if code)
    return ""


def note_view(note: DeliveryNote, *, viewer: Agent, addresses: Sequence[Address]) -> NoteView:
    """All that the note's template shows. `addresses` are those of the conversation's contact."""
    delivery = note.delivery
    report = note.report.as_recipient_report() if note.report else None
    verdict = explain(report) if report else None
    author = delivery.message.part.agent
    siblings = [other for other in delivery.message.deliveries.all() if other.pk != delivery.pk]
    return NoteView(
        note=note,
        delivery=delivery,
        verdict=verdict,
        whose_reply="Your reply" if author == viewer or author is None else f"{author.name}’s reply",
        party=PARTY[verdict.party] if verdict else "",
        words=code_lines(report.diagnostic_code.text) if report else (),
        words_by=words_by(note.report, verdict) if note.report and verdict else "",
        others=[f"{other.recipient} {STANDING[State(other.state)]}" for other in siblings],
        evidence=evidence(note.report) if note.report else "",
        timeline=timeline(delivery, queued_by=author),
        tries=delivery.attempt_count,
        alternatives=alternatives(addresses, instead_of=delivery, besides=siblings),
        can_retry=can(State(delivery.state), Event.RETRIED)
        and delivery.held_because != Delivery.Hold.MAILBOX,
        can_cancel=can(State(delivery.state), Event.CANCELLED),
        hold=_hold(delivery) if note.kind == DeliveryNote.Kind.HELD else "",
    )


def _hold(delivery: Delivery) -> str:
    """Why it waits, and what ends that."""
    if delivery.held_because == Delivery.Hold.INCIDENT and delivery.incident:
        return (
            f"{delivery.incident.provider} takes none of our mail at the moment. One reply at a time finds out "
            "whether that is over; then this one goes out by itself."
        )
    texts = {
        Delivery.Hold.ADDRESS.value: "It has been proven that no mail reaches this address, and nothing has been heard "
        "from it since. Send it anyway if you know better, or take another way.",
        Delivery.Hold.MAILBOX.value: f"The mailbox {delivery.mailbox.address} is paused. What is held goes out when it "
        "goes on.",
        Delivery.Hold.PERSON.value: "Somebody holds it. It goes out when it is released.",
    }
    return texts.get(delivery.held_because, "It was held.")  # and has been let go


def alternatives(
    addresses: Sequence[Address], *, instead_of: Delivery, besides: Iterable[Delivery]
) -> list[Alternative]:
    """Where else the reply can go: to what was likely meant, and to the person's other addresses."""
    guess = suggest_domain(instead_of.recipient)
    others = [email for email in other_addresses(addresses, instead_of, besides) if email != guess]
    found = [Alternative(guess, is_guess=True)] if guess else []
    found += [Alternative(email) for email in others]
    if found and instead_of.state != State.DELAYED:  # a delayed one may yet arrive by itself
        found[0] = replace(found[0], is_best=True)
    return found


def other_addresses(
    addresses: Sequence[Address], instead_of: Delivery, besides: Iterable[Delivery]
) -> list[str]:
    """Other addresses of the same person: those that worked last stand first, dead ones not at all."""
    if instead_of.recipient.lower() not in {address.email.lower() for address in addresses}:
        return []  # somebody else in the conversation: these are not their addresses
    taken = {delivery.recipient.lower() for delivery in (instead_of, *besides)}
    alive = [
        address for address in addresses if address.email.lower() not in taken and address.dead_since is None
    ]
    never = datetime.min.replace(tzinfo=UTC)
    alive.sort(
        key=lambda address: max(address.last_accepted_at or never, address.last_heard_at or never),
        reverse=True,
    )
    return [address.email for address in alive]


def evidence(report: Report) -> str:
    """How we know, in one sentence."""
    if report.source == Report.Source.SMTP:
        return "Heard by ourselves, from the mail server that we spoke to."
    if report.source == Report.Source.OURSELVES:
        return "Found out by ourselves; no mail server said this."
    if report.source == Report.Source.SERVICE:
        how = "by the reference that we signed" if report.proven else "by its Message-ID alone, not proven"
        return f"An event of {_service_of(report)}, the service that took the mail; matched {how}."
    if report.proven:
        return "By a report that came back to the signed return path of this very message."
    return "Reported, not proven: the report did not come to our signed return path."


def words_by(report: Report, verdict: Verdict) -> str:
    """Whose the words are; "" where nobody but us spoke. Words that came without a name are no less theirs."""
    if not report.diagnostic_text or report.diagnostic_type == "x-local":
        return ""
    who = verdict.said_by or report.remote_mta
    if report.source != Report.Source.SERVICE:
        return who or "a mail server that is not named"
    service = _service_of(report)
    return who if who == service else f"{who or 'a mail server'}, as {service} passes it on"


def _service_of(report: Report) -> str:
    return SERVICES[report.service_event.service].title if report.service_event else "the e-mail service"


def code_lines(text: str) -> list[CodeLine]:
    """The words line by line with their codes set off; put together again they are the text itself."""
    lines = []
    for line in text.split("\n"):
        found = _CODE.fullmatch(line)
        lines.append(CodeLine(*found.groups()) if found else CodeLine("", line))
    return lines


def timeline(delivery: Delivery, *, queued_by: Agent | None) -> list[TimelineEntry]:
    """What happened, step by step, from the button to the last answer."""
    who = queued_by.name if queued_by else "somebody"
    entries = [TimelineEntry(delivery.created_at, f"Queued when {who} pressed send")]
    for attempt in delivery.attempts.all():
        entries += _attempt_entries(attempt)
    entries += [_report_entry(report) for report in delivery.reports.all() if report.source in FROM_OUTSIDE]
    return sorted(entries, key=lambda entry: entry.at)


def _report_entry(report: Report) -> TimelineEntry:
    if report.source == Report.Source.SERVICE:
        text = f"{_service_of(report)} told: {TOLD[Action(report.action)]}"
        happened_at = report.service_event.happened_at if report.service_event else None
        return TimelineEntry(happened_at or report.heard_at, text, code=report.status)
    text = f"A report came back by mail: {report.action}"
    return TimelineEntry(report.heard_at, text, code=report.status, mail_id=report.returned_mail_id)


def _attempt_entries(attempt: Attempt) -> Iterable[TimelineEntry]:
    if attempt.remote_host:
        yield TimelineEntry(
            attempt.started_at, f"Try {attempt.number}: {_connection(attempt)}", attempt.remote_host
        )
    if attempt.ended_at is None:
        yield TimelineEntry(attempt.started_at, f"Try {attempt.number} is going on", attempt=attempt)
        return
    yield TimelineEntry(
        attempt.ended_at, _ending(attempt), attempt.reply.partition("\n")[0][:80], attempt=attempt
    )


def _connection(attempt: Attempt) -> str:
    if not attempt.tls_version:
        security = "not encrypted"
    elif attempt.tls_verified:
        security = f"{attempt.tls_version}, certificate verified"
    else:
        security = f"{attempt.tls_version}, certificate not verified"
    return f"connected to {attempt.remote_ip or 'its mail server'}, {security}"


def _ending(attempt: Attempt) -> str:
    if attempt.outcome == Attempt.Outcome.LOST:
        return "Broken off by our own delivery process before the message went out"
    where = f" at {attempt.stage}" if attempt.stage else ""
    took = f"in {_duration(attempt)}"
    return {
        Attempt.Outcome.ACCEPTED: f"Accepted {took}",
        Attempt.Outcome.FAILED: f"Refused for good{where} {took}",
        Attempt.Outcome.DELAYED: f"Not accepted for now{where} {took}",
        Attempt.Outcome.UNCERTAIN: "Handed over, but no answer came",
    }[Attempt.Outcome(attempt.outcome)]


def _duration(attempt: Attempt) -> str:
    seconds = ((attempt.ended_at or attempt.started_at) - attempt.started_at).total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


A_YEAR = 365 * 86400  # seconds


def age(at: datetime) -> str:
    """How long ago, as short as a list wants it: "2m", "3h", "5d", and "Mar 2021" after a year."""
    seconds = (timezone.now() - at).total_seconds()
    if seconds >= A_YEAR:
        return date_format(timezone.localtime(at), "M Y")
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return "now"


def gave_up_after(note: DeliveryNote) -> str:
    return timesince(note.delivery.queued_at, note.delivery.settled_at)
