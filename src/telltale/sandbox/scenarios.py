"""What an address makes its server do. The local part says it: `full@google.sandbox.test`.

The table below says what happens and when. The words that a server uses stand in `providers/`.
A number or a tag may follow, so that there are many addresses of a kind: `full-2@…`, `full+anna@…`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from telltale.mail.report import Stage


class Manner(StrEnum):
    """What a server does when the session comes to the stage of a scenario."""

    ACCEPT = "accept"
    REFUSE = "refuse"  # each time, in the provider's words
    REFUSE_TWICE = "refuse twice"  # the third try of one sender and recipient passes
    GREYLIST = "greylist"  # the same client, sender and recipient pass after a wait
    SLOW = "slow"  # accepts, but after a wait
    SILENT = "silent"  # never answers
    DROP = "drop"  # closes the connection without an answer
    DROP_INSIDE = "drop inside"  # says 354 and closes the connection: no final dot can reach it


class Later(StrEnum):
    """The mail that follows an acceptance, to the return path."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    AUTO_REPLY = "auto-reply"


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    stage: Stage  # where it shows
    manner: Manner
    what: str  # one sentence for people
    later: Later | None = None

    @property
    def when(self) -> str:
        """The moment, in words for people."""
        return "some seconds after it was accepted" if self.later else _WHEN[self.stage]


_WHEN = {
    Stage.RCPT: "at once, when the recipient is named",
    Stage.DATA: "before the content",
    Stage.CONTENT: "after the content",
}

_RCPT, _DATA, _CONTENT = Stage.RCPT, Stage.DATA, Stage.CONTENT

ACCEPT = Scenario("accept", _CONTENT, Manner.ACCEPT, "The mail is accepted, as for any other name.")

SCENARIOS: tuple[Scenario, ...] = (
    ACCEPT,
    # The recipient
    Scenario("no-such-user", _RCPT, Manner.REFUSE, "The mailbox does not exist."),
    Scenario("full", _RCPT, Manner.REFUSE, "The mailbox is full."),
    Scenario("disabled", _RCPT, Manner.REFUSE, "The account has been switched off."),
    # The message
    Scenario("policy", _CONTENT, Manner.REFUSE, "A rule of the recipient's organisation refuses the mail."),
    Scenario("spam", _CONTENT, Manner.REFUSE, "The content is taken for spam."),
    Scenario("too-large", _CONTENT, Manner.REFUSE, "The message is called too large, whatever its size."),
    Scenario("refuse-data", _DATA, Manner.REFUSE, "The server refuses to take any content."),
    # The sender
    Scenario("blocklisted", _RCPT, Manner.REFUSE, "Our sending server is on a block list."),
    Scenario("auth", _CONTENT, Manner.REFUSE, "Our domain fails its authentication checks."),
    # For now
    Scenario(
        "rate-limited", _RCPT, Manner.REFUSE_TWICE, "We send too much: two refusals, then it is accepted."
    ),
    Scenario(
        "greylist", _RCPT, Manner.GREYLIST, "Greylisting: refused at first, accepted after some seconds."
    ),
    Scenario("temporary", _RCPT, Manner.REFUSE, "A temporary fault of the server that never ends."),
    Scenario("421-always", _RCPT, Manner.REFUSE, "The server says 421 and closes the connection, each time."),
    # Bare and odd
    Scenario("bare-550", _RCPT, Manner.REFUSE, "Refused for good, without any reason."),
    Scenario("no-route", _RCPT, Manner.REFUSE, "A gateway finds no way to the recipient's server."),
    # Time and connections
    Scenario("slow", _RCPT, Manner.SLOW, "The server thinks for ten seconds, then accepts."),
    Scenario("silent", _RCPT, Manner.SILENT, "The server never answers."),
    Scenario("drop-at-rcpt", _RCPT, Manner.DROP, "The server closes the connection instead of an answer."),
    Scenario(
        "drop-in-data", _DATA, Manner.DROP_INSIDE, "The connection breaks in the middle of the content."
    ),
    Scenario(
        "drop-after-data", _CONTENT, Manner.DROP, "The connection breaks after the final dot: did it arrive?"
    ),
    # Accepted, and then
    Scenario("bounce-later", _CONTENT, Manner.ACCEPT, "A bounce says: no such mailbox.", Later.FAILED),
    Scenario("full-later", _CONTENT, Manner.ACCEPT, "A bounce says: the mailbox is full.", Later.FAILED),
    Scenario("expired", _CONTENT, Manner.ACCEPT, "A bounce says: given up after many tries.", Later.FAILED),
    Scenario("delayed-later", _CONTENT, Manner.ACCEPT, "A warning says: not delivered yet.", Later.DELAYED),
    Scenario("delivered-later", _CONTENT, Manner.ACCEPT, "A report says: delivered.", Later.DELIVERED),
    Scenario(
        "vacation", _CONTENT, Manner.ACCEPT, "The customer is away: an automatic answer.", Later.AUTO_REPLY
    ),
)

BY_NAME: Mapping[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}

# Customers with natural addresses, for a demo. Whoever is not here is looked up by local part.
CUSTOMERS: Mapping[str, str] = {
    "ana@oldworks.example": "no-such-user",
    "priya@corp.example": "full",
    "kenji@yahoo.example": "rate-limited",
}

_NUMBER = re.compile(r"-\d+$")


def scenario_for(address: str) -> Scenario:
    """What mail to this address meets. Letter case does not matter; an unknown name is accepted."""
    address = address.lower()
    local_part = address.rpartition("@")[0].partition("+")[0]
    # The whole name first: "bare-550" ends in a number of its own.
    for name in (CUSTOMERS.get(address, ""), local_part, _NUMBER.sub("", local_part)):
        if name in BY_NAME:
            return BY_NAME[name]
    return ACCEPT
