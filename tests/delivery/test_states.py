"""What can happen to a delivery: the table, whole."""

from __future__ import annotations

import pytest

from telltale.delivery.states import TRANSITIONS, WAITING, Event, ImpossibleTransitionError, State, after, can


def test_every_state_has_its_row():
    assert set(TRANSITIONS) == set(State)


def test_accepted_never_becomes_delivered_without_a_report():
    ways = {
        event
        for events in TRANSITIONS.values()
        for event, state in events.items()
        if state == State.DELIVERED
    }

    assert ways == {Event.REPORTED_DELIVERED}


def test_nothing_uncertain_is_sent_again_by_itself():
    assert not can(State.UNCERTAIN, Event.CLAIMED)
    assert State.UNCERTAIN not in WAITING


def test_what_was_cancelled_is_never_sent_but_an_acceptance_that_comes_late_is_the_truth():
    assert [event for event in Event if can(State.CANCELLED, event)] == [Event.ACCEPTED]


def test_an_impossible_event_says_what_would_be_possible():
    with pytest.raises(
        ImpossibleTransitionError, match="a delivery that is held cannot be claimed; possible: unheld"
    ):
        after(State.HELD, Event.CLAIMED)
