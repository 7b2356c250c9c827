"""When the queue tries again, as a table: the cause decides, and a server that names a time is obeyed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from telltale.bounce.verdict import Party, Retry, Verdict
from telltale.delivery.policy import (
    LIFETIME,
    GiveUp,
    RetryAt,
    attention_at,
    next_step,
    pause_of_destination,
)

QUEUED_AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def because(reason: str, *, retry_after: timedelta | None = None) -> Verdict:
    return Verdict(
        reason=reason,
        title="",
        meaning="",
        party=Party.UNKNOWN,
        permanent=False,
        address_dead=False,
        retry=Retry.AUTOMATIC,
        retry_advice="",
        actions=(),
        admin_actions=(),
        rule="",
        said_by="",
        retry_after=retry_after,
    )


def step(verdict: Verdict, *, attempts: int = 1, after: timedelta = timedelta()) -> RetryAt | GiveUp:
    """What comes next, where the answer to this try came `after` the mail was queued."""
    return next_step(verdict, attempts=attempts, queued_at=QUEUED_AT, now=QUEUED_AT + after)


@pytest.mark.parametrize(
    ("reason", "minutes"),
    [
        ("greylisted", [2, 5, 10, 20, 40, 60, 60, 60]),  # clears in minutes
        ("connection_lost", [1, 5, 15, 30, 60, 120, 120]),
        ("host_unreachable", [1, 5, 15, 30, 60, 120, 120]),
        ("dns_failure", [1, 5, 15, 30, 60, 120, 120]),
        ("mailbox_full", [60, 120, 240, 480, 480]),  # a person has to tidy up
        ("rate_limited", [5, 10, 20, 40, 60, 120, 120]),
        ("recipient_rate_limited", [15, 30, 60, 120, 120]),
        ("system_busy", [5, 15, 30, 60, 120, 180, 180]),
        ("unknown", [5, 15, 30, 60, 120, 180, 180]),
        ("a reason that comes with a later version", [5, 15, 30, 60, 120, 180, 180]),
    ],
)
def test_each_cause_has_its_own_pauses_and_the_last_one_stays(reason, minutes):
    for attempts, pause in enumerate(minutes, start=1):
        assert step(because(reason), attempts=attempts) == RetryAt(QUEUED_AT + pause * MINUTE)


def test_the_pause_counts_from_the_answer():
    assert step(because("greylisted"), after=HOUR) == RetryAt(QUEUED_AT + HOUR + 2 * MINUTE)


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        (timedelta(seconds=15), timedelta(seconds=15)),
        (3 * HOUR, 3 * HOUR),
        (timedelta(0), timedelta(seconds=5)),  # no invitation to hammer
        (timedelta(seconds=4), timedelta(seconds=5)),
        (5 * DAY, 12 * HOUR),  # whoever says "in a week" must not make us give up at the first try
        (timedelta.max, 12 * HOUR),
    ],
)
def test_a_server_that_names_a_time_is_obeyed_within_reason(asked, pause):
    for reason in ("greylisted", "mailbox_full", "unknown"):
        assert step(because(reason, retry_after=asked), attempts=3) == RetryAt(QUEUED_AT + pause)


@pytest.mark.parametrize(
    ("after", "gives_up"),
    [
        (timedelta(0), False),
        (LIFETIME - 2 * MINUTE, False),  # the last try is at the very end
        (LIFETIME - 2 * MINUTE + timedelta(seconds=1), True),
        (LIFETIME, True),
        (2 * LIFETIME, True),
    ],
)
def test_when_the_next_try_would_come_too_late_the_time_is_over(after, gives_up):
    found = step(because("greylisted"), after=after)

    assert (found == GiveUp(LIFETIME)) is gives_up


def test_the_lifetime_is_what_the_desk_says():
    short = next_step(
        because("greylisted"), attempts=1, queued_at=QUEUED_AT, now=QUEUED_AT, lifetime=timedelta(minutes=1)
    )

    assert short == GiveUp(timedelta(minutes=1))


@pytest.mark.parametrize("reason", ["greylisted", "mailbox_full", "connection_lost", "unknown"])
def test_five_days_are_used_and_nobody_is_hammered(reason):
    """RFC 5321 section 4.5.4.1: the give-up time is four to five days."""
    now, attempts = QUEUED_AT, 1
    while isinstance(
        found := next_step(because(reason), attempts=attempts, queued_at=QUEUED_AT, now=now), RetryAt
    ):
        now, attempts = found.at, attempts + 1

    assert LIFETIME - 8 * HOUR <= now - QUEUED_AT <= LIFETIME
    assert attempts < 150


@pytest.mark.parametrize(
    ("reason", "minutes"),
    [
        ("mailbox_full", 60),  # as for everything: the usual hour
        ("domain_not_found", 5),  # waiting brings no domain back
        ("dns_failure", 10),
        ("user_unknown", 5),
        ("greylisted", 12 * 60),  # ends by itself; if it has not by then, it is no greylisting
        ("auth_submission", 0),  # ours, and it stops everything
    ],
)
def test_each_cause_asks_for_attention_in_its_own_time(reason, minutes):
    assert attention_at(because(reason), queued_at=QUEUED_AT) == QUEUED_AT + minutes * MINUTE


def test_only_a_server_that_finds_us_too_fast_slows_the_whole_destination():
    assert pause_of_destination(because("rate_limited"), attempts=2) == 10 * MINUTE
    assert pause_of_destination(because("rate_limited", retry_after=HOUR), attempts=1) == HOUR
    assert pause_of_destination(because("greylisted"), attempts=1) is None
    assert pause_of_destination(because("mailbox_full"), attempts=1) is None
