"""When to try again: pure rules, the caller brings the clock.

RFC 5321 section 4.5.4.1 wants at least 30 minutes between tries and four to five days before giving up, and
lets experience decide. Greylisting clears in minutes and a full mailbox in hours, so the cause decides here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from telltale.bounce.verdict import Verdict

LIFETIME = timedelta(days=5)
ATTENTION_AFTER = timedelta(hours=1)
SOONEST = timedelta(seconds=5)  # "try again in 0 seconds" is no invitation to hammer
LATEST = timedelta(hours=12)  # "try again in a week" is no reason to give up at the first try

_MINUTES = {
    "greylisted": (2, 5, 10, 20, 40, 60),
    "connection_lost": (1, 5, 15, 30, 60, 120),
    "host_unreachable": (1, 5, 15, 30, 60, 120),
    "dns_failure": (1, 5, 15, 30, 60, 120),
    "mailbox_full": (60, 120, 240, 480),
    "rate_limited": (5, 10, 20, 40, 60, 120),
    "recipient_rate_limited": (15, 30, 60, 120),
}
_OTHERWISE = (5, 15, 30, 60, 120, 180)

# How long a delay may last before it asks for an agent's attention, where the usual hour is wrong: a domain that is
# not there will not come back by waiting, and greylisting always ends by itself. If it has not by then, it is none.
_ATTENTION_MINUTES = {
    "greylisted": 12 * 60,
    "domain_not_found": 5,
    "no_route": 5,
    "dns_failure": 10,
    "user_unknown": 5,
    "mailbox_disabled": 5,
    "relay_unreachable": 5,
    "auth_submission": 0,  # ours, and it stops everything
    "account_disabled": 0,
}
_TOO_FAST = ("rate_limited", "too_many_connections")


@dataclass(frozen=True, slots=True)
class RetryAt:
    """Try again by ourselves, not before `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Time is over: the whole lifetime of the delivery has been used."""

    lifetime: timedelta


def next_step(
    verdict: Verdict, *, attempts: int, queued_at: datetime, now: datetime, lifetime: timedelta = LIFETIME
) -> RetryAt | GiveUp:
    """What the queue does after the temporary answer to try number `attempts` (counted from 1)."""
    pause = _pause(verdict, attempts)
    return GiveUp(lifetime) if now + pause > queued_at + lifetime else RetryAt(now + pause)


def _pause(verdict: Verdict, attempts: int) -> timedelta:
    if verdict.retry_after is not None:
        return min(max(verdict.retry_after, SOONEST), LATEST)
    steps = _MINUTES.get(verdict.reason, _OTHERWISE)
    return timedelta(minutes=steps[min(attempts, len(steps)) - 1])


def attention_at(verdict: Verdict, *, queued_at: datetime, usual: timedelta = ATTENTION_AFTER) -> datetime:
    """When a delay for this cause, of a delivery queued then, asks for an agent's attention."""
    minutes = _ATTENTION_MINUTES.get(verdict.reason)
    return queued_at + (usual if minutes is None else timedelta(minutes=minutes))


def pause_of_destination(verdict: Verdict, *, attempts: int) -> timedelta | None:
    """For how long nothing more goes to the whole destination: where it said that we are too fast."""
    return _pause(verdict, attempts) if verdict.reason in _TOO_FAST else None
