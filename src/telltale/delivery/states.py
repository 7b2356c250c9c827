"""What can happen to one delivery, and what it becomes.

Rule 1: every transition stands in TRANSITIONS; nothing else sets `Delivery.state`.
Rule 2: this file knows no database, no clock and no socket.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"  # waits for its first try, or for one that an agent asked for
    SENDING = "sending"  # a worker has it, under a lease
    DELAYED = "delayed"  # refused for now; the queue tries again by itself
    ACCEPTED = "accepted"  # the next hop took it
    DELIVERED = "delivered"  # a report says that it is in the mailbox
    FAILED = "failed"  # it did not arrive, and nothing goes on by itself
    UNCERTAIN = "uncertain"  # handed over, but the answer never came
    CANCELLED = "cancelled"  # taken back before it left
    HELD = "held"  # waits for a person, or for a provider to recover


class Event(StrEnum):
    CLAIMED = "claimed"  # a worker took it from the queue
    RELEASED = "released"  # its worker was lost before the content went out
    ACCEPTED = "accepted"  # 250 behind the final dot
    REFUSED = "refused"  # a permanent answer
    DELAYED = "delayed"  # a temporary answer, or no connection
    GIVEN_UP = "given up"  # a temporary answer, and the time is over
    UNCONFIRMED = "unconfirmed"  # the connection was lost behind the final dot
    REPORTED_RELAYED = "reported relayed"  # a later hop took it, says the one before
    REPORTED_DELIVERED = "reported delivered"
    REPORTED_FAILED = "reported failed"
    RETRIED = "retried"  # an agent asked for another try
    CANCELLED = "cancelled"  # an agent took it back
    HELD = "held"
    UNHELD = "unheld"


class ImpossibleTransitionError(RuntimeError):
    """Our own mistake: the table has no such row."""


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.QUEUED: {
        Event.CLAIMED: State.SENDING,
        Event.RETRIED: State.QUEUED,  # at another time
        Event.CANCELLED: State.CANCELLED,
        Event.HELD: State.HELD,
        Event.ACCEPTED: State.ACCEPTED,  # a worker that was taken for lost comes back with its answer
    },
    State.SENDING: {
        Event.ACCEPTED: State.ACCEPTED,
        Event.REFUSED: State.FAILED,
        Event.DELAYED: State.DELAYED,
        Event.GIVEN_UP: State.FAILED,
        Event.UNCONFIRMED: State.UNCERTAIN,
        Event.RELEASED: State.QUEUED,
        Event.HELD: State.HELD,  # its provider refuses everybody's mail: an incident
    },
    State.DELAYED: {
        Event.CLAIMED: State.SENDING,
        Event.RETRIED: State.QUEUED,
        Event.CANCELLED: State.CANCELLED,
        Event.HELD: State.HELD,
        Event.ACCEPTED: State.ACCEPTED,  # as above
    },
    State.ACCEPTED: {
        Event.REPORTED_RELAYED: State.ACCEPTED,
        Event.REPORTED_DELIVERED: State.DELIVERED,
        Event.REPORTED_FAILED: State.FAILED,
    },
    State.DELIVERED: {
        Event.REPORTED_FAILED: State.FAILED,  # a forwarder behind the mailbox can fail
    },
    State.FAILED: {
        Event.RETRIED: State.QUEUED,
        Event.REPORTED_RELAYED: State.ACCEPTED,  # a service that had given up has tried again
        Event.REPORTED_DELIVERED: State.DELIVERED,  # the words of the last hop win over our own
        Event.REPORTED_FAILED: State.FAILED,
    },
    State.UNCERTAIN: {
        Event.ACCEPTED: State.ACCEPTED,  # as above
        Event.REPORTED_RELAYED: State.ACCEPTED,
        Event.REPORTED_DELIVERED: State.DELIVERED,
        Event.REPORTED_FAILED: State.FAILED,
        Event.RETRIED: State.QUEUED,
    },
    State.CANCELLED: {
        Event.ACCEPTED: State.ACCEPTED,  # as above: it was on its way already, and that is the truth
    },
    State.HELD: {
        Event.UNHELD: State.QUEUED,
        Event.RETRIED: State.QUEUED,  # an agent wants it out, whatever holds it
        Event.CANCELLED: State.CANCELLED,
        Event.GIVEN_UP: State.FAILED,  # held for longer than anybody waits for an answer
        Event.ACCEPTED: State.ACCEPTED,  # as above
    },
}

WAITING = tuple(state for state, events in TRANSITIONS.items() if Event.CLAIMED in events)


def can(state: State, event: Event) -> bool:
    """Whether `event` can happen to a delivery in `state`."""
    return event in TRANSITIONS[state]


def after(state: State, event: Event) -> State:
    """The state behind `event`. Raises ImpossibleTransitionError where the table has none."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        possible = ", ".join(TRANSITIONS[state]) or "nothing"
        raise ImpossibleTransitionError(
            f"a delivery that is {state} cannot be {event}; possible: {possible}"
        ) from None
