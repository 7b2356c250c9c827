"""Counts what came back, for a pile of any size.

Rule 1: one pass; the octets of a mail are forgotten as soon as it is counted.
Rule 2: memory is bounded. Names that anybody can invent (addresses, hosts, oddities) are kept up to a number;
beyond it those that were met least often are dropped, and the page says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from email.utils import parsedate
from typing import Any

from telltale.bounce import Kind, Verdict, explain, read
from telltale.cli.engine.sources import Letter
from telltale.mail.mime import parse
from telltale.mail.report import Action, RecipientReport

MOST_NAMES = 20_000  # of one sort that are kept; memory holds up to twice as many for a while
MOST_UNREADABLE = 20
LONGEST_SAMPLE = 600  # characters
LONGEST_NAME = 300  # characters; RFC 5321 allows 254 octets for an address
LONGEST_HEADER = 64 << 10  # octets of a header that are searched for a date
FIRST_YEAR, LAST_YEAR = 1982, 2100  # RFC 822 is of 1982; other years are a wrong clock's

NO_DATE = ""
_FAILURE = (Action.FAILED, Action.DELAYED)
_LONG_ENDINGS = {"co", "com", "org", "net", "ac", "gov", "edu", "ne", "or", "go", "gob"}  # "example.co.uk"


@dataclass(slots=True)
class Standing:
    """How often an address, or a domain, came back, and how it ended last."""

    failed: int = 0
    delayed: int = 0
    complaints: int = 0
    # Of its last failure: a mailbox that was full yesterday is there, whatever was said of it last year.
    is_dead: bool = False
    reason: str = ""
    failed_on: str = NO_DATE
    last_day: str = NO_DATE

    @property
    def weight(self) -> int:
        return 1000 * (self.failed + self.complaints) + self.delayed

    def add(self, other: Standing) -> None:
        self.failed += other.failed
        self.delayed += other.delayed
        self.complaints += other.complaints
        if other.reason and other.failed_on >= self.failed_on:
            self.is_dead, self.reason, self.failed_on = other.is_dead, other.reason, other.failed_on
        self.last_day = max(self.last_day, other.last_day)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server said, to show what a reason looks like."""

    words: str
    said_by: str
    rule: str
    is_reply: bool  # of an SMTP server; other words are often a notice's in between


@dataclass
class Tally:
    """Everything that the page tells."""

    mails: int = 0
    octets: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    days: Counter[tuple[str, Action]] = field(default_factory=Counter)  # ISO 8601 day
    reasons: Counter[tuple[str, Action]] = field(default_factory=Counter)
    parties: Counter[tuple[str, Action]] = field(default_factory=Counter)
    providers: Counter[tuple[str, str, Action]] = field(default_factory=Counter)  # name, reason
    block_lists: Counter[str] = field(default_factory=Counter)
    oddities: Counter[str] = field(default_factory=Counter)
    addresses: dict[str, Standing] = field(default_factory=dict)
    domains: dict[str, Standing] = field(default_factory=dict)
    samples: dict[str, Sample] = field(default_factory=dict)  # by reason
    unreadable: int = 0
    first_unreadable: list[tuple[str, str]] = field(default_factory=list)  # path, error
    is_incomplete: bool = False  # names were dropped

    @property
    def failed(self) -> int:
        return self._number(Action.FAILED)

    @property
    def delayed(self) -> int:
        return self._number(Action.DELAYED)

    def add(self, other: Tally) -> None:
        """Takes in another tally."""
        self.mails += other.mails
        self.octets += other.octets
        self.unreadable += other.unreadable
        self.is_incomplete = self.is_incomplete or other.is_incomplete
        self.first_unreadable = [*self.first_unreadable, *other.first_unreadable][:MOST_UNREADABLE]
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for name in _STANDINGS:
            _merge(getattr(self, name), getattr(other, name))
        for reason, sample in other.samples.items():
            self._keep_sample(reason, sample)
        self._drop_the_least()

    def count(self, letter: Letter) -> None:
        """Reads one mail and counts it."""
        if letter.error:
            self.unreadable += 1
            self.first_unreadable.append((letter.path, letter.error))
            return
        returned = read(letter.octets)
        self.mails += 1
        self.octets += len(letter.octets)
        self.kinds[returned.kind] += 1
        self.oddities.update(each[:LONGEST_NAME] for each in (*letter.oddities, *returned.oddities))
        day = day_of(letter.octets) if returned.reports else NO_DATE
        for report in returned.reports:
            self._count_report(returned.kind, report, day)

    def _count_report(self, kind: Kind, report: RecipientReport, day: str) -> None:
        if kind is Kind.COMPLAINT:
            self._count_names(report, Standing(complaints=1, last_day=day))
        elif report.action in _FAILURE:
            verdict = explain(report)
            self._count_failure(report, verdict, day)
            self._count_names(report, _standing(report, verdict, day))

    def _count_failure(self, report: RecipientReport, verdict: Verdict, day: str) -> None:
        self.days[day, report.action] += 1
        self.reasons[verdict.reason, report.action] += 1
        self.parties[verdict.party, report.action] += 1
        self.providers[provider_of(report, verdict), verdict.reason, report.action] += 1
        self.block_lists.update(verdict.block_lists)
        if report.diagnostic_code:
            self._keep_sample(verdict.reason, _sample(report, verdict))

    def _keep_sample(self, reason: str, sample: Sample) -> None:
        kept = self.samples.get(reason)
        if kept is None or (sample.is_reply and not kept.is_reply):
            self.samples[reason] = sample

    def _count_names(self, report: RecipientReport, standing: Standing) -> None:
        address = report.final_recipient[:LONGEST_NAME].lower()
        _merge(self.addresses, {address: standing})
        if domain := domain_of(report):
            _merge(self.domains, {domain: standing})

    def _drop_the_least(self) -> None:
        for name in _INVENTED:
            counter = getattr(self, name)
            self.is_incomplete |= _drop(counter, counter.__getitem__)
        for name in _STANDINGS:
            standings: dict[str, Standing] = getattr(self, name)
            weights = {each: standing.weight for each, standing in standings.items()}
            self.is_incomplete |= _drop(standings, weights.__getitem__)

    def _number(self, wanted: Action) -> int:
        return sum(number for (_, action), number in self.reasons.items() if action is wanted)


def tally_of(letters: Iterable[Letter]) -> Tally:
    """The tally of one portion."""
    tally = Tally()
    for letter in letters:
        tally.count(letter)
    return tally


def day_of(octets: bytes) -> str:
    """When it came: by our own server's Received, else by Date; NO_DATE where neither has a date to believe."""
    mail = parse(octets[:LONGEST_HEADER])
    for text in (mail.header("received").rpartition(";")[2], mail.header("date")):
        try:
            year, month, day = (parsedate(text[-200:]) or (0, 0, 0))[:3]
            found = date(year, month, day)
        except (ValueError, IndexError, OverflowError):
            continue  # no date, or the 30th of February
        if FIRST_YEAR <= found.year <= LAST_YEAR:
            return found.isoformat()
    return NO_DATE


def provider_of(report: RecipientReport, verdict: Verdict) -> str:
    """Who runs the mailbox: the provider's name, else the domain of the host that spoke, else the recipient's."""
    said_by = verdict.said_by
    if not said_by or "." not in said_by or " " in said_by:
        return said_by or domain_of(report)
    labels = said_by.lower().rstrip(".").split(".")
    if labels[-1].isdigit():
        return said_by  # an IP address
    return ".".join(labels[-3:] if len(labels[-1]) == 2 and labels[-2] in _LONG_ENDINGS else labels[-2:])


def domain_of(report: RecipientReport) -> str:
    return (
        report.final_recipient[:LONGEST_NAME].rpartition("@")[2].lower()
        if "@" in report.final_recipient
        else ""
    )


def _standing(report: RecipientReport, verdict: Verdict, day: str) -> Standing:
    if report.action is Action.DELAYED:
        return Standing(delayed=1, last_day=day)
    return Standing(
        failed=1, is_dead=verdict.address_dead, reason=verdict.reason, failed_on=day, last_day=day
    )


def _sample(report: RecipientReport, verdict: Verdict) -> Sample:
    diagnostic = report.diagnostic_code
    return Sample(diagnostic.text[:LONGEST_SAMPLE], verdict.said_by, verdict.rule, diagnostic.type == "smtp")


def _merge(into: dict[str, Standing], others: Mapping[str, Standing]) -> None:
    for name, standing in others.items():
        into.setdefault(name, Standing()).add(standing)


def _drop(names: dict[Any, Any], weight: Callable[[Any], int]) -> bool:
    """Drops the least of too many; whether it had to."""
    if len(names) <= 2 * MOST_NAMES:
        return False
    for name in sorted(names, key=weight)[: len(names) - MOST_NAMES]:
        del names[name]
    return True


_COUNTERS = ("kinds", "days", "reasons", "parties", "providers", "block_lists", "oddities")
_INVENTED = ("providers", "block_lists", "oddities")  # names of strangers' making
_STANDINGS = ("addresses", "domains")
