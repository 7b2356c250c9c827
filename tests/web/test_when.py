"""When to try again: the words of the menu, in the agent's time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from telltale.web.when import BadTimeError, parse_when

BERLIN = ZoneInfo("Europe/Berlin")  # summer time ends on 25 October 2026 and begins on 28 March 2027
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its summer time is half an hour


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def in_utc(moment: datetime | None) -> str:
    assert moment
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize("when", ["now", ""])
def test_now_is_at_once(when):
    assert parse_when(when, "2026-11-25T14:30", now=berlin("2026-11-25T12:00")) is None


@pytest.mark.parametrize(
    ("now", "an_hour_later"),
    [
        (berlin("2026-11-25T12:00"), "2026-11-25 12:00"),
        (berlin("2026-11-25T23:30"), "2026-11-25 23:30"),
        (berlin("2027-03-28T01:30"), "2027-03-28 01:30"),  # 02:30 does not exist: it is 03:30
        (berlin("2026-10-25T02:30"), "2026-10-25 01:30"),  # the clock shows 02:30 a second time
        (berlin("2026-10-25T02:30", fold=1), "2026-10-25 02:30"),
    ],
)
def test_an_hour_is_an_hour_whatever_the_clocks_do(now, an_hour_later):
    assert in_utc(parse_when("hour", "", now=now)) == an_hour_later


@pytest.mark.parametrize(
    ("now", "morning"),
    [
        (berlin("2026-11-25T12:00"), "2026-11-26 08:00"),
        (berlin("2026-11-25T00:01"), "2026-11-26 08:00"),
        (berlin("2026-12-31T23:59:59"), "2027-01-01 08:00"),
        (berlin("2026-10-24T12:00"), "2026-10-25 08:00"),  # 25 hours lie between the two nines
        (berlin("2027-03-27T12:00"), "2027-03-28 07:00"),  # 23 hours
        (datetime(2026, 11, 25, 23, 30, tzinfo=ZoneInfo("America/Los_Angeles")), "2026-11-26 17:00"),
        (datetime(2026, 11, 25, 23, 30, tzinfo=ZoneInfo("Pacific/Kiritimati")), "2026-11-25 19:00"),
    ],
)
def test_tomorrow_morning_is_nine_on_the_agents_own_clock(now, morning):
    assert in_utc(parse_when("tomorrow", "", now=now)) == morning


@pytest.mark.parametrize(
    ("at", "chosen"),
    [
        ("2026-10-24T14:30", "2026-10-24 12:30"),
        ("2026-10-25T14:30", "2026-10-25 13:30"),  # winter time
        ("2026-10-25T02:30", "2026-10-25 00:30"),  # twice on that day: the first
        ("2026-10-24T14:30:15.5", "2026-10-24 12:30"),
        ("2026-10-24T14:30+05:00", "2026-10-24 09:30"),
        ("2026-10-24T14:30Z", "2026-10-24 14:30"),
        ("2026-10-24", "2026-10-23 22:00"),
    ],
)
def test_a_chosen_time_is_read_on_the_agents_own_clock(at, chosen):
    assert in_utc(parse_when("time", at, now=berlin("2026-10-23T12:00"))) == chosen


def test_a_time_that_the_clocks_skip_is_the_moment_after_the_gap():
    chosen = parse_when("time", "2027-03-28T02:30", now=berlin("2027-03-27T12:00"))

    assert in_utc(chosen) == "2027-03-28 01:30"  # the clock shows 03:30


def test_a_time_that_comes_twice_is_the_one_that_is_still_to_come():
    now = berlin("2026-10-25T02:45")

    assert in_utc(parse_when("time", "2026-10-25T02:30", now=now)) == "2026-10-25 01:30"


def test_a_gap_of_half_an_hour_is_a_gap_too():
    now = datetime(2026, 10, 3, 12, tzinfo=LORD_HOWE)

    assert in_utc(parse_when("time", "2026-10-04T02:15", now=now)) == "2026-10-03 15:45"


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        ("", "Choose a day and a time"),
        ("tomorrow", "Choose a day and a time"),
        ("2026-13-01T10:00", "Choose a day and a time"),
        ("2026-11-31T10:00", "Choose a day and a time"),
        ("2026-11-25T24:30", "Choose a day and a time"),
        ("2026-11-25T11:59", "That time is over"),
        ("2026-11-25T12:00", "That time is over"),
        ("2026-11-25T12:30+05:00", "That time is over"),
        ("0001-01-01T00:00", "That time is over"),
        ("2026-12-25T12:01", "within 30 days"),
        ("9999-12-31T23:59", "within 30 days"),
        ("9999-12-31T23:59-12:00", "within 30 days"),
        ("0001-01-01T00:00+12:00", "That time is over"),
    ],
)
def test_what_is_no_time_is_said_in_words(at, fault):
    with pytest.raises(BadTimeError, match=fault):
        parse_when("time", at, now=berlin("2026-11-25T12:00"))


def test_thirty_days_may_be_waited():
    assert (
        in_utc(parse_when("time", "2026-12-25T12:00", now=berlin("2026-11-25T12:00"))) == "2026-12-25 11:00"
    )
