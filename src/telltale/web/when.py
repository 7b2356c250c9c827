"""When to try again, in the words of the menu."""

from __future__ import annotations

from datetime import datetime, timedelta

WHEN = ("now", "hour", "tomorrow", "time")
LONGEST = timedelta(days=30)


class BadTimeError(ValueError):
    """The text says what is wrong with the time and what it should be."""


def parse_when(when: str, at: str, *, now: datetime) -> datetime | None:
    """The time that a choice means, in `now`'s time zone; None for at once.

    `at` is what a datetime-local input gives, "2026-11-25T14:30", and counts only for "time".
    """
    if when == "hour":
        return now + timedelta(hours=1)
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
    if chosen <= now:
        raise BadTimeError("That time is over. Choose one that is still to come.")
    if chosen > now + LONGEST:
        raise BadTimeError(f"Choose a time within {LONGEST.days} days.")
    return chosen
