"""What a server remembers of earlier tries: grey list and rate limit.

Tries are counted by recipient and by the domain of the return path, since a sender may use another local part
for each mail. Bounded: who tried longest ago is forgotten first.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

MOST_PAIRS = 10_000
TRIES_REFUSED = 2

Value = TypeVar("Value")
Pair = tuple[str, str]  # recipient, domain of the return path


def pair(recipient: str, mail_from: str) -> Pair:
    return recipient.lower(), mail_from.rpartition("@")[2].lower()


class Memory:
    """One for all servers of a sandbox."""

    def __init__(self, *, greylist: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`greylist` is the wait in seconds."""
        self._greylist = greylist
        self._clock = clock
        self._first_tried: OrderedDict[Pair, float] = OrderedDict()
        self._tries: OrderedDict[Pair, int] = OrderedDict()

    def seconds_to_wait(self, who: Pair) -> float:
        """Until the grey list lets this pair pass; 0 where it does, and from then on."""
        now = self._clock()
        return max(0.0, _remember(self._first_tried, who, now) + self._greylist - now)

    def is_over_the_rate(self, who: Pair) -> bool:
        """Counts a try. The third passes, and the next mail begins anew."""
        self._tries[who] = _remember(self._tries, who, 0) + 1
        if self._tries[who] <= TRIES_REFUSED:
            return True
        del self._tries[who]
        return False


def _remember(known: OrderedDict[Pair, Value], who: Pair, first: Value) -> Value:
    value = known.setdefault(who, first)
    known.move_to_end(who)
    if len(known) > MOST_PAIRS:
        known.popitem(last=False)
    return value
