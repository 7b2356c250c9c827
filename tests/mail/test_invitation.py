"""Invitations in a few lines that a person reads."""

from __future__ import annotations

import pytest

from telltale.mail.invitation import summary


def event(*lines: str, method: str = "REQUEST") -> bytes:
    body = "\r\n".join(["UID:1@oldworks.example", "DTSTAMP:20261128T080000Z", *lines])
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nMETHOD:{method}\r\n"
        f"BEGIN:VEVENT\r\n{body}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()


def test_an_invitation_says_what_when_where_and_by_whom():
    octets = event(
        "SUMMARY:Lamp review",
        "DTSTART;TZID=Europe/Berlin:20261207T140000",
        "DTEND;TZID=Europe/Berlin:20261207T150000",
        "LOCATION:Room 4\\, second floor",
        "ORGANIZER;CN=Ana Ribeiro:mailto:ana@oldworks.example",
    )

    assert summary(octets) == (
        "Invitation: Lamp review\n"
        "When: Monday 7 December 2026, 14:00–15:00 Europe/Berlin (13:00 UTC)\n"
        "Where: Room 4, second floor\n"
        "By: Ana Ribeiro <ana@oldworks.example>"
    )


@pytest.mark.parametrize(
    ("lines", "when"),
    [
        (["DTSTART:20261207T130000Z", "DTEND:20261207T140000Z"], "Monday 7 December 2026, 13:00–14:00 UTC"),
        (["DTSTART:20261207T130000Z", "DURATION:PT30M"], "Monday 7 December 2026, 13:00–13:30 UTC"),
        (["DTSTART;VALUE=DATE:20261207", "DTEND;VALUE=DATE:20261208"], "Monday 7 December 2026"),
        (
            ["DTSTART;VALUE=DATE:20261207", "DTEND;VALUE=DATE:20261210"],
            "Monday 7 December 2026 to Wednesday 9 December 2026",
        ),
        (["DTSTART:20261207T130000"], "Monday 7 December 2026, 13:00 (where the reader is)"),
        (
            ["DTSTART:20261207T220000Z", "DTEND:20261208T010000Z"],
            "Monday 7 December 2026, 22:00 to Tuesday 8 December 2026, 01:00 UTC",
        ),
        (["DTSTART:20261207T130000Z", "RRULE:FREQ=WEEKLY"], "Monday 7 December 2026, 13:00 UTC, every week"),
    ],
)
def test_when_it_is_stands_there_whole(lines, when):
    assert f"\nWhen: {when}" in summary(event("SUMMARY:x", *lines)) + "\n"


@pytest.mark.parametrize(
    ("method", "begins"), [("CANCEL", "Cancelled: x"), ("PUBLISH", "Event: x"), ("ODD", "Event: x")]
)
def test_what_it_asks_for_stands_first(method, begins):
    assert summary(event("SUMMARY:x", method=method)).startswith(begins)


def test_an_answer_says_who_comes():
    octets = event(
        "SUMMARY:x", "ATTENDEE;CN=Ben;PARTSTAT=DECLINED:mailto:ben@oldworks.example", method="REPLY"
    )

    assert summary(octets) == "Answer to an invitation: x\nBen <ben@oldworks.example> declines"


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"no calendar",
        b"BEGIN:VCALENDAR\r\n" * 1_000,
        b"\xff\xfe" * 100,
        event("DTSTART:nonsense", "RRULE:FREQ=NEVER", "ORGANIZER:"),
        event("SUMMARY:" + "x" * 300_000),
        event(*["RRULE:FREQ=DAILY"] * 500),
        event("SUMMARY:a\r\n " * 10_000),
        event('ATTENDEE;CN="' + "a;" * 50_000, method="REPLY"),
    ],
)
def test_whatever_a_stranger_wrote_there_some_lines_or_none_come_out(octets, every_reading_ends):
    assert len(summary(octets)) < 5_000
