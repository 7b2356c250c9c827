"""One cause that stops many deliveries: noticed, said once, probed now and then, and over when one gets through.

Rule 1: an incident needs several deliveries with one cause at one provider, and none that got through since the
first of them. A provider that refuses some of our mail and takes the rest has no incident.
Rule 2: a person's address, a person's mailbox and a single message never make one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from django.db.models import Count, F, Min, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from telltale.accounts.models import Agent
from telltale.bounce import knowledge
from telltale.delivery.models import Attempt, Delivery, Incident, Report
from telltale.delivery.states import State
from telltale.events.bell import QUEUE, publish, ring

WINDOW = timedelta(hours=1)  # refusals further apart than that are not one cause
AT_LEAST = 5  # deliveries
AT_LEAST_OF_OURS = 2  # where our own way out refuses, everything is stopped: the second says it
PROVIDERS_FOR_EVERYWHERE = 3
FADES_AFTER = timedelta(days=1)
PROBE_AFTER = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30))

OUR_WAY_OUT = frozenset(
    {"auth_submission", "account_disabled", "relay_unreachable", "relay_insecure", "our_quota"}
)
OUR_STANDING = frozenset(
    {
        *("ip_blocklisted", "domain_blocklisted", "ip_reputation", "domain_reputation", "rate_limited"),
        *("auth_spf", "auth_dkim", "auth_dmarc", "auth_missing", "ptr_missing", "config", "tls_required"),
        *("sender_address_invalid", "sender_domain_invalid", "geo_blocked", "too_many_connections"),
    }
)
THEIR_TROUBLE = frozenset(
    {
        *("system_busy", "system_error", "system_full", "not_accepting", "tls_failure"),
        *("host_unreachable", "connection_lost", "dns_failure", "no_route"),
    }
)
WIDE = OUR_WAY_OUT | OUR_STANDING | THEIR_TROUBLE


@dataclass(frozen=True, slots=True)
class Obstruction:
    """An open incident at a provider, as a worker keeps it in mind."""

    incident_id: int
    probe_at: datetime


@lru_cache(maxsize=4096)
def provider_of(host: str, domain: str) -> str:
    """Who answers: "Google" where the host is known, else the domain of the host, else the recipient's."""
    known = knowledge.provider_of(host)
    if known:
        return knowledge.provider_title(known)
    parent = host.lower().rstrip(".").partition(".")[2]
    return parent if "." in parent and not host.replace(".", "").isdigit() else host.lower() or domain


def note_failure(delivery: Delivery, report: Report) -> Incident | None:
    """The open incident that this refusal belongs to, or makes; None where it stands alone."""
    if report.reason not in WIDE or not report.proven:
        return None
    incident = Incident.objects.filter(provider=report.provider, reason=report.reason, closed_at=None).first()
    if incident is None:
        incident = _open(report)
    else:
        Incident.objects.filter(pk=incident.pk).update(
            report=report, seen_at=timezone.now(), delivery_count=F("delivery_count") + 1
        )
    if incident:
        delivery.incident = incident
    return incident


def _open(report: Report) -> Incident | None:
    alike = Report.objects.filter(
        reason=report.reason,
        provider=report.provider,
        heard_at__gte=timezone.now() - WINDOW,
        proven=True,
        action__in=["failed", "delayed"],
    )
    seen = alike.aggregate(deliveries=Count("delivery", distinct=True), since=Min("heard_at"))
    if seen["deliveries"] < (AT_LEAST_OF_OURS if report.reason in OUR_WAY_OUT else AT_LEAST):
        return None
    taken = Attempt.objects.filter(provider=report.provider, outcome="accepted", ended_at__gte=seen["since"])
    if taken.exists():
        return None
    incident, is_new = Incident.objects.get_or_create(
        provider=report.provider,
        reason=report.reason,
        closed_at=None,
        defaults={
            "report": report,
            "opened_at": seen["since"],
            "delivery_count": seen["deliveries"],
            "probe_at": timezone.now() + PROBE_AFTER[0],
        },
    )
    if is_new:
        Delivery.objects.filter(
            pk__in=alike.values("delivery"), state__in=[State.FAILED, State.DELAYED, State.SENDING]
        ).update(incident=incident)
        _tell("incident.opened", incident)
        _open_everywhere(report)
    return incident


def _open_everywhere(report: Report) -> None:
    """The same fault of ours at several providers: say once that it is us."""
    if report.reason not in OUR_STANDING:
        return
    alike = Incident.objects.filter(reason=report.reason, closed_at=None).exclude(provider="")
    if alike.count() < PROVIDERS_FOR_EVERYWHERE:
        return
    incident, is_new = Incident.objects.get_or_create(
        provider="",
        reason=report.reason,
        closed_at=None,
        defaults={"report": report, "delivery_count": sum(alike.values_list("delivery_count", flat=True))},
    )
    if is_new:
        _tell("incident.opened", incident)


def obstructions() -> dict[str, Obstruction]:
    """The providers that take none of our mail at the moment; the earliest probe where one has two incidents."""
    found = Incident.objects.filter(closed_at=None).exclude(provider="").order_by("-probe_at")
    return {incident.provider: Obstruction(incident.pk, incident.probe_at) for incident in found}


def take_probe(incident_id: int) -> bool:
    """Whether this delivery may try, as the one that finds out. Only one gets a yes for each time."""
    incident = Incident.objects.get(pk=incident_id)
    if incident.closed_at is not None:
        return True
    step = PROBE_AFTER[min(incident.probe_count + 1, len(PROBE_AFTER) - 1)]
    taken = Incident.objects.filter(
        pk=incident_id, closed_at=None, probe_at__lte=Now(), probe_count=incident.probe_count
    ).update(probe_at=timezone.now() + step, probe_count=F("probe_count") + 1)
    return bool(taken)


def recovered(providers: Iterable[str]) -> None:
    """Deliveries got through here: what stood open at these providers is over."""
    _close(
        Incident.objects.filter(provider__in={*providers} - {""}, closed_at=None), Incident.Closed.RECOVERED
    )


def answered(provider: str) -> None:
    """Somebody there refused one recipient or one message: so they are up, whatever they think of that mail."""
    troubles = Incident.objects.filter(provider=provider, reason__in=THEIR_TROUBLE, closed_at=None)
    _close(troubles, Incident.Closed.RECOVERED)


def close(incident: Incident, *, agent: Agent, retry_failed: bool) -> None:
    """A person has mended it: what is held goes out, and with `retry_failed` what failed for it goes again."""
    Incident.objects.filter(pk=incident.pk).update(retry_failed=retry_failed)
    _close(Incident.objects.filter(pk=incident.pk, closed_at=None), Incident.Closed.BY_HAND, agent=agent)
    ring(QUEUE)


def close_faded() -> None:
    """What nobody has met for a day, and holds nothing, is no longer news."""
    long_ago = Incident.objects.filter(closed_at=None, seen_at__lt=timezone.now() - FADES_AFTER)
    _close(long_ago.exclude(deliveries__state=State.HELD), Incident.Closed.FADED)


def _close(incidents: QuerySet[Incident], how: Incident.Closed, *, agent: Agent | None = None) -> None:
    for incident in incidents:
        closed = Incident.objects.filter(pk=incident.pk, closed_at=None).update(
            closed_at=timezone.now(), closed_how=how, closed_by=agent
        )
        if closed:
            _tell("incident.closed", incident)


def _tell(name: str, incident: Incident) -> None:
    publish(name, ["inbox", "queue"], incident=incident.pk)
