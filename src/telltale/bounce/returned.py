"""What came back: the kind of a mail, what it says of each recipient, and the keys to what it is about."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from telltale.mail.report import RecipientReport


class Kind(StrEnum):
    """What a mail is, for one who waits for word about his own mails."""

    BOUNCE = "bounce"  # a report: not delivered, and nobody will try again
    DELAYED = "delayed"  # a report: not delivered yet
    DELIVERED = "delivered"  # a report: it arrived, or went on to where no reports come from
    COMPLAINT = "complaint"  # somebody called our mail spam: RFC 5965
    AUTOREPLY = "autoreply"  # a machine answered for a person: RFC 3834
    READ_RECEIPT = "read_receipt"  # a mail program tells what its owner did: RFC 8098
    ORDINARY = "ordinary"  # written by a person, or nothing of the above


@dataclass(frozen=True, slots=True)
class Keys:
    """What a mail tells about the mail that it answers. None of it is proof: anybody can write it."""

    return_path_to: tuple[str, ...] = ()  # the addresses that it came to, as far as its headers tell
    original_envelope_id: str = ""  # RFC 3464 section 2.2.1, the ENVID that we gave; its case counts
    message_ids: tuple[str, ...] = ()  # of the mail that is enclosed
    references: tuple[str, ...] = ()  # In-Reply-To and References of what came
    returned_references: tuple[str, ...] = ()  # In-Reply-To and References of the mail that is enclosed


@dataclass(frozen=True, slots=True)
class Returned:
    """One mail that came in, read.

    `oddities` lists what broke a standard and was read all the same. `evidence` says what decided the kind.
    """

    kind: Kind
    reports: tuple[RecipientReport, ...] = ()
    keys: Keys = Keys()
    oddities: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
