"""The local part says what happens; and what a server remembers of earlier tries."""

from __future__ import annotations

import pytest

from telltale.sandbox.memory import MOST_PAIRS, Memory, pair
from telltale.sandbox.scenarios import CUSTOMERS, SCENARIOS, scenario_for
from tests.sandbox.client import Clock


@pytest.mark.parametrize(
    ("address", "scenario"),
    [
        *((f"{scenario.name}@google.sandbox.test", scenario.name) for scenario in SCENARIOS),
        ("anna@google.sandbox.test", "accept"),
        ("No-Such-User@Google.Sandbox.Test", "no-such-user"),
        ("full+anna@google.sandbox.test", "full"),
        ("full-2@google.sandbox.test", "full"),
        ("full-2+anna@google.sandbox.test", "full"),
        ("bare-550@google.sandbox.test", "bare-550"),  # a number of its own
        ("bare-550-3@google.sandbox.test", "bare-550"),
        ("421-always-12@google.sandbox.test", "421-always"),
        ("full-moon@google.sandbox.test", "accept"),
        ("fuller@google.sandbox.test", "accept"),
        ("full-@google.sandbox.test", "accept"),
        ("@google.sandbox.test", "accept"),
        ("", "accept"),
        *CUSTOMERS.items(),
        ("Ana@OldWorks.example", "no-such-user"),
        ("ana@ribeiro.example", "accept"),
    ],
)
def test_the_local_part_names_the_scenario(address: str, scenario: str) -> None:
    assert scenario_for(address).name == scenario


def test_who_tried_longest_ago_is_forgotten_first(clock: Clock) -> None:
    memory = Memory(greylist=15, clock=clock)
    first, second = pair("a@google.sandbox.test", "x@lamp.example"), pair("b@google.sandbox.test", "")
    memory.seconds_to_wait(first)
    memory.seconds_to_wait(second)
    clock.advance(15)
    memory.seconds_to_wait(first)  # it has tried again, so `second` is the oldest now
    for number in range(MOST_PAIRS - 1):
        memory.seconds_to_wait(pair(f"{number}@google.sandbox.test", ""))

    assert memory.seconds_to_wait(first) == 0
    assert memory.seconds_to_wait(second) == 15
