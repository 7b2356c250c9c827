"""How times stand on pages: short where they are near, and never to be taken for another year."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from telltale.web.presentation import age
from telltale.web.templatetags.telltale import moment

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def now(monkeypatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def shown(at: datetime) -> str:
    return re.sub(r"<[^>]*>", "", moment(at))


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW - timedelta(hours=1), "11:00"),
        (NOW - timedelta(days=1), "yesterday 12:00"),
        (NOW - timedelta(days=10), "18 Nov 12:00"),
        (NOW.replace(year=2024, month=1, day=6), "6 Jan 2024 12:00"),
    ],
)
def test_a_moment_of_another_year_has_its_year(at, words):
    assert shown(at) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (NOW, "now"),
        (NOW - timedelta(minutes=2), "2m"),
        (NOW - timedelta(days=364), "364d"),
        (NOW.replace(year=2024, month=8, day=6), "Aug 2024"),
    ],
)
def test_what_is_older_than_a_year_is_of_a_month(at, words):
    assert age(at) == words
