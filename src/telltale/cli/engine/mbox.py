"""Takes an mbox apart while it streams by: RFC 4155.

Rule 1: memory holds one message, and no more than `largest` octets of it, however large the mbox is.
Rule 2: a message begins with a postmark behind an empty line: "From ", who, and when. People begin sentences
with "From " too, and not every program that writes an mbox escapes them. Where the time is left out, a header
has to follow at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BEGINNING = b"From "
LARGEST = 64 << 20  # octets of one mail that are read; providers take 25 to 150 MB
_BLOCK = 1 << 20
_LONGEST_POSTMARK = 1_000  # octets; RFC 5321 allows 254 for the address, and the time needs 24
_POSTMARK = re.compile(
    rb"From (?:[^\n]{0,600}?\d:\d\d[^\n]{0,100}\n"
    rb"|[^ \n]{0,600}[ \t\r]{0,20}\n(?=[!-9;-~]{1,80}:))"  # Netscape's "From - ", Google Takeout's "From 17@xxx"
)
_MARGIN = 3  # octets in front of a postmark that tell whether an empty line stands there


class Readable(Protocol):
    """Octets that come one after the other; `read` gives fewer than it is asked for only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One message of an mbox, its postmark included. `is_cut`: it had more than the largest number of octets."""

    octets: bytes
    is_cut: bool


def messages(stream: Readable, *, largest: int = LARGEST) -> Iterator[Message]:
    """The messages of an mbox, in order. `stream` stands at the first postmark."""
    held = bytearray()
    searched = 0
    is_cut = False
    while block := stream.read(_BLOCK):
        held += block
        while (at := _next_postmark(held, searched)) > 0:
            yield Message(bytes(held[: min(at, largest)]), is_cut or at > largest)
            del held[:at]
            searched, is_cut = 0, False
        # The end may hold the first half of a postmark.
        searched = max(searched, len(held) - _LONGEST_POSTMARK)
        if searched - _MARGIN > largest:
            del held[largest : searched - _MARGIN]
            searched, is_cut = largest + _MARGIN, True
    if held:
        yield Message(bytes(held[:largest]), is_cut or len(held) > largest)


def _next_postmark(held: bytearray, start: int) -> int:
    """Where the next message begins, or -1. That at the very front is this message's own."""
    at = held.find(b"\nFrom ", start)
    while at >= 0:
        is_behind_empty_line = held.endswith((b"\n", b"\n\r"), 0, at)
        if is_behind_empty_line and _POSTMARK.match(held, at + 1):
            return at + 1
        at = held.find(b"\nFrom ", at + 1)
    return -1
