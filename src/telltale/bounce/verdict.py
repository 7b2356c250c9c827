"""What a report means to the person who sent the mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Party(StrEnum):
    """Who can mend it."""

    RECIPIENT = "recipient"  # the address, the mailbox, its owner
    PROVIDER = "provider"  # the system behind the address
    US = "us"  # our domain, reputation, set-up
    MESSAGE = "message"  # what this mail contains
    NETWORK = "network"  # DNS and connections between us
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """Whether the same mail to the same address can still arrive."""

    NO = "no"
    AUTOMATIC = "automatic"  # the queue tries again by itself; a second copy would be a duplicate
    LATER = "later"  # worth a try by hand after some time
    AFTER_FIX = "after_fix"  # only when somebody has changed what is wrong
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine concludes from one report, and the rule that decided.

    Four facts stay apart: `permanent` is the finality that the report's action states; `reason` says why;
    `address_dead` is True only for a reason that is about the address. Texts are plain words without markup,
    in the language that was asked for.
    """

    reason: str  # a name of the vocabulary, such as "mailbox_full"
    title: str  # "The mailbox is full"
    meaning: str  # one to three sentences for the agent
    party: Party
    permanent: bool
    address_dead: bool
    retry: Retry
    retry_advice: str  # one sentence
    actions: tuple[str, ...]  # next steps for the agent, a sentence each
    admin_actions: tuple[str, ...]  # next steps for the admin, where the problem is ours
    rule: str  # names what decided: "google.01", "enhanced:X.1.1", "basic:550", "action"
    said_by: str  # "Google", or the host that answered, or "" where nobody but us spoke
    # What the reply tells beside the reason; empty where it is not said.
    retry_after: timedelta | None = None  # "try again in N"
    block_lists: tuple[str, ...] = ()  # that name us or our links: "Spamhaus", or a list's host name
    links: tuple[str, ...] = ()  # web pages, http or https, that the provider's own text points to
    size_limit: int | None = None  # octets, where the mail is too large
    new_address: str = ""  # of a recipient who has moved; a stranger's word, so ask before you trust it
