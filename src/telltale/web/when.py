"""When to try again, in the words of the menu."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

WHEN = ("now", "hour", "tomorrow", "time")
LONGEST = timedelta(days=30)


class BadTimeError(ValueError):
    """The text says what is wrong with the time and what it should be."""


def parse_when(when: str, at: str, *, now: datetime) -> datetime | None:
    """The time that a choice means, in `now`'s time zone; None for at once.

    `at` is what a datetime-local input gives, "2026-11-25T14:30", and counts only for "time".
    """
    if when == "hour":
        # Not on the agent's clock: that may be put forward or back within the hour.
        return (now.astimezone(UTC) + timedelta(hours=1)).astimezone(now.tzinfo)
    if when == "tomorrow":
        return (now + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
    if when == "time":
        return _chosen(at, now=now)
    return None


def _chosen(at: str, *, now: datetime) -> datetime:
    try:
        chosen = datetime.fromisoformat(at)
    except ValueError:
        raise BadTimeError("Choose a day and a time, such as 2026-11-25T14:30.") from None
    chosen = chosen if chosen.tzinfo else chosen.replace(tzinfo=now.tzinfo)
    if _seconds_until(chosen, now) <= 0:
        chosen = chosen.replace(fold=1)  # a time that comes twice when summer time ends: the second one
    if _seconds_until(chosen, now) <= 0:
        raise BadTimeError("That time is over. Choose one that is still to come.")
    if _seconds_until(chosen, now) > LONGEST.total_seconds():
        raise BadTimeError(f"Choose a time within {LONGEST.days} days.")
    return chosen


def _seconds_until(chosen: datetime, now: datetime) -> float:
    """Of two times in one zone, "-" would take the difference that the clock shows."""
    return chosen.timestamp() - now.timestamp()
