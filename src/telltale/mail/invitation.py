"""What a calendar invitation says, in a few lines: RFC 5545, RFC 5546. Needs `icalendar`, which comes with the desk.

Rule: whatever a stranger wrote there, some lines or none come out, in bounded time.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

MOST_OCTETS = 200_000
MOST_EVENTS = 5
LONGEST_LINE = 300  # characters

_WHAT = {
    "REQUEST": "Invitation",
    "CANCEL": "Cancelled",
    "REPLY": "Answer to an invitation",
    "COUNTER": "Another time is proposed",
    "PUBLISH": "Event",
}
_ANSWERS = {"ACCEPTED": "accepts", "DECLINED": "declines", "TENTATIVE": "may come"}
_HOW_OFTEN = {"DAILY": "every day", "WEEKLY": "every week", "MONTHLY": "every month", "YEARLY": "every year"}


def summary(octets: bytes) -> str:
    """Lines that say what, when, where and by whom; "" where it is no event that we can read."""
    if len(octets) > MOST_OCTETS:
        return ""
    try:
        from icalendar import Calendar

        calendar = Calendar.from_ical(octets)
        method = str(calendar.get("METHOD", "PUBLISH")).upper()
        events = list(calendar.walk("VEVENT"))[:MOST_EVENTS]
        return "\n\n".join(_of_event(event, method) for event in events)
    except Exception:  # the library has many ways to trip over what strangers write
        return ""


def _of_event(event: Any, method: str) -> str:
    lines = [
        f"{_WHAT.get(method, 'Event')}: {_line(event.get('SUMMARY')) or 'without a title'}",
        _when(event),
        f"Where: {_line(event.get('LOCATION'))}" if event.get("LOCATION") else "",
        f"By: {_person(event.get('ORGANIZER'))}" if event.get("ORGANIZER") else "",
        *(_answers(event) if method == "REPLY" else []),
    ]
    return "\n".join(line for line in lines if line)


def _when(event: Any) -> str:
    start = event.decoded("DTSTART", None)
    if not isinstance(start, date):
        return ""
    end = _end(event, start)
    frequency = (event.get("RRULE") or {}).get("FREQ", [""])[0]
    repeats = _HOW_OFTEN.get(str(frequency), "again and again") if frequency else ""
    return f"When: {_span(start, end)}{f', {repeats}' if repeats else ''}"


def _end(event: Any, start: date) -> date | None:
    end = event.decoded("DTEND", None)
    duration = event.decoded("DURATION", None)
    if end is None and isinstance(duration, timedelta):
        return start + duration
    return end if isinstance(end, date) else None


def _span(start: date, end: date | None) -> str:
    if not isinstance(start, datetime):
        last = (
            end - timedelta(days=1) if end else start
        )  # RFC 5545 section 3.6.1: the end of a day's event is not in it
        return _day(start) if last <= start else f"{_day(start)} to {_day(last)}"
    words = f"{_day(start)}, {start:%H:%M}"
    if isinstance(end, datetime):
        words += f"–{end:%H:%M}" if end.date() == start.date() else f" to {_day(end)}, {end:%H:%M}"
    if start.tzinfo is None:
        return f"{words} (where the reader is)"
    if start.utcoffset() == timedelta():
        return f"{words} UTC"
    return f"{words} {start.tzinfo} ({start.astimezone(UTC):%H:%M} UTC)"


def _day(day: date) -> str:
    return f"{day:%A} {day.day} {day:%B %Y}"


def _answers(event: Any) -> list[str]:
    attendees = event.get("ATTENDEE", [])
    people = attendees if isinstance(attendees, list) else [attendees]
    said = [
        (_person(person), _ANSWERS.get(str(person.params.get("PARTSTAT", "")).upper(), ""))
        for person in people[:5]
    ]
    return [f"{who} {answer}" for who, answer in said if answer]


def _person(given: Any) -> str:
    """A name, or the address behind "mailto:"."""
    name = _line(getattr(given, "params", {}).get("CN", ""))
    address = _line(given).removeprefix("mailto:").removeprefix("MAILTO:")
    return f"{name} <{address}>" if name and name != address else address


def _line(value: Any) -> str:
    visible = "".join(letter if letter.isprintable() else " " for letter in str(value or ""))
    return " ".join(visible.split())[:LONGEST_LINE]
