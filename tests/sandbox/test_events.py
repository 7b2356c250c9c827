"""What the sandbox remembers of what it heard and said, and how one waits for it."""

from __future__ import annotations

import asyncio

import pytest

from telltale.sandbox.events import MOST_EVENTS, MOST_OCTETS, Heard, Journal, Kind, StoredMail

ANNA = "anna@google.sandbox.test"


@pytest.fixture
def journal() -> Journal:
    return Journal()


def refuse(journal: Journal, recipient: str = ANNA) -> None:
    journal.note("mx.google.sandbox.test", Kind.REFUSED, recipient=recipient, detail="550 Rejected")


async def test_one_waits_for_what_has_been_and_for_what_comes(journal: Journal) -> None:
    refuse(journal)
    refuse(journal, "another@google.sandbox.test")
    first = await journal.wait_for("refused", recipient="ANNA@google.sandbox.test", count=1, within=5)
    waiting = asyncio.ensure_future(journal.wait_for(Kind.REFUSED, recipient=ANNA, count=2, within=5))
    await asyncio.sleep(0)
    journal.note("mx.google.sandbox.test", Kind.ACCEPTED, recipient=ANNA)
    refuse(journal)

    assert await waiting is journal.events[-1]
    assert first is journal.events[0]


async def test_who_waits_in_vain_reads_what_happened_instead(journal: Journal) -> None:
    refuse(journal)
    with pytest.raises(
        TimeoutError, match=f"no accepted for b@c within 0.01 s; the last events: refused {ANNA}"
    ):
        await journal.wait_for("accepted", recipient="b@c", count=1, within=0.01)


def test_an_observer_hears_each_event_until_it_has_heard_enough(journal: Journal) -> None:
    heard: list[Heard] = []
    stop = journal.observe(heard.append)
    refuse(journal)
    stop()
    refuse(journal)

    assert heard == [journal.events[0]]


def test_the_oldest_mail_makes_room_for_the_newest(journal: Journal) -> None:
    content = bytes(MOST_OCTETS // 2)
    for number in range(3):
        journal.keep(StoredMail(number, "mx.google.sandbox.test", "", ANNA, content, str(number)))

    assert [mail.queue_id for mail in journal.messages_for(ANNA)] == ["1", "2"]


def test_the_oldest_event_makes_room_for_the_newest(journal: Journal) -> None:
    refuse(journal, "first@google.sandbox.test")
    for _ in range(MOST_EVENTS):
        refuse(journal)

    assert len(journal.events) == MOST_EVENTS
    assert journal.events[0].recipient == ANNA
