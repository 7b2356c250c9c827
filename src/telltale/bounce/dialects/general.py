"""The general way: reads a notice of nobody in particular, by the shapes that such notices have.

The surest first: a list of addresses below the sentence that says what happened, an address that is named as the
recipient, one within the sentence, an SMTP transcript, an address that the returned mail went to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from telltale.bounce.dialects.entries import MOST_PARAGRAPHS, Entry, entries, reports_from
from telltale.bounce.notice import Notice
from telltale.bounce.sorting import action_of, telling_lines
from telltale.mail.addresses import ADDRESS, addresses_in, original_of
from telltale.mail.report import RecipientReport

MOST_LINES = 2_000
LONGEST_PARAGRAPH = 20  # lines

_OF_SOMEBODY_ELSE = re.compile(
    r"\b(?:contact|assistance|questions?|help|support|administrator|please|visit|ask|call|write to|"
    r"kontakt|wenden sie)\b|https?://",
    re.IGNORECASE,
)
_OF_SENDER = re.compile(
    r"\s*(?:from|sender|mail from|return-path|von|de|reply-to|by|reporting-mta|message-id|subject)\s*[:<]",
    re.IGNORECASE,
)
_NAMED_RECIPIENT = re.compile(
    r"\s*[-*]?\s*(?:(?:final|original|intended|failed|invalid|unknown|undeliverable)[- ])?"
    r"(?:recipients?(?: addresse?s?)?|address(?:es|ee)?|user|rcpt(?: to)?|"
    r"destinat(?:ion|aire|ario|[áa]rio|atario)(?: address)?|"
    r"empf(?:ä|ae)nger(?:adresse)?|получатель|адрес|收件人|受信者|宛先)(?:\(s\))?\s*[:=]\s*(?:rfc822;\s*)?"
    rf"[<\[\"']?(?:smtp:)?({ADDRESS})",
    re.IGNORECASE,
)
_RCPT = re.compile(rf"rcpt to:\s*<?({ADDRESS})", re.IGNORECASE)
_REFUSAL = re.compile(r"(?:<<<|received >>>|s:|<-)?\s*([45]\d\d[- ].*)", re.IGNORECASE)

Way = Callable[["_Reading"], list[Entry]]


def read(notice: Notice) -> list[RecipientReport]:
    """The recipients that this notice tells of."""
    reading = _Reading(notice)
    for way in _WAYS:
        if found := [entry for entry in way(reading) if reading.may_be(entry.address)]:
            return reports_from(_once(found), action=action_of(notice))
    return []


class _Reading:
    """One notice, its lines, and who in it is no recipient."""

    def __init__(self, notice: Notice) -> None:
        self.notice = notice
        self.lines = notice.lines[:MOST_LINES]
        self.telling = [at for at in telling_lines(notice) if at < len(self.lines)]
        self.went_to = {address.lower() for address in notice.returned_to}
        own = addresses_in(notice.mail.header("to")[:2_000])
        self.others = {notice.sender_address, *(address.lower() for address in own), *self._advised()}

    def may_be(self, address: str) -> bool:
        """Neither the one who writes, nor the one who is written to, nor one whom to ask for help."""
        return address.lower() in self.went_to or address.lower() not in self.others

    def paragraphs(self, start: int) -> list[list[str]]:
        """The paragraph from this line on, and those that follow."""
        found: list[list[str]] = []
        while start < len(self.lines) and len(found) < MOST_PARAGRAPHS:
            end = start
            while end < len(self.lines) and self.lines[end].strip() and end < start + LONGEST_PARAGRAPH:
                end += 1
            if end > start:
                found.append(self.lines[start:end])
            start = end + 1
        return found

    def _advised(self) -> Iterator[str]:
        for at, line in enumerate(self.lines):
            if "@" in line and at not in self.telling and _OF_SOMEBODY_ELSE.search(line[: line.find("@")]):
                yield from (address.lower() for address in addresses_in(line))


def _below_the_sentence(reading: _Reading) -> list[Entry]:
    start = next(iter(reading.telling), 0)
    found = entries(_without_advice(reading.lines[start:]))
    if any(reading.may_be(entry.address) for entry in found):
        return found
    return entries(_without_advice(reading.lines))


def _without_advice(lines: list[str]) -> Iterator[str]:
    """Without the lines that name whom to ask, and those that name the sender."""
    for line in lines:
        in_front = line[: line.find("@")]
        if in_front and (_OF_SENDER.match(line) or _OF_SOMEBODY_ELSE.search(in_front)):
            continue
        yield line


def _named_as_recipient(reading: _Reading) -> list[Entry]:
    found = []
    for at, line in enumerate(reading.lines):
        if "@" in line and (named := _NAMED_RECIPIENT.match(line)):
            behind = line[named.end() :].strip(" >:\"']")
            found.append(
                Entry(
                    named[1],
                    [[behind], *reading.paragraphs(at + 1)] if behind else reading.paragraphs(at + 1),
                )
            )
    return found


def _within_the_sentence(reading: _Reading) -> list[Entry]:
    for at in reading.telling:
        around = " ".join(reading.lines[at : at + 2])
        if found := [address for address in addresses_in(around) if reading.may_be(address)]:
            return [Entry(address, reading.paragraphs(at)) for address in found]
    return []


def _in_the_transcript(reading: _Reading) -> list[Entry]:
    """ ">>> RCPT TO:<ana@lamp.example>" and the refusal below it."""
    found: list[Entry] = []
    for line in reading.lines:
        if named := _RCPT.search(line):
            found.append(Entry(named[1]))
        elif found and not found[-1].paragraphs and (refused := _REFUSAL.match(line.strip())):
            found[-1].paragraphs.append([refused[1]])
    return [entry for entry in found if entry.paragraphs]


def _known_from_the_returned_mail(reading: _Reading) -> list[Entry]:
    found = _all_in_the_text(reading)
    return [entry for entry in found if entry.address.lower() in reading.went_to]


def _named_in_a_header(reading: _Reading) -> list[Entry]:
    return [Entry(address) for address in reading.notice.failed_recipients]


def _the_only_one_in_the_text(reading: _Reading) -> list[Entry]:
    found = [entry for entry in _all_in_the_text(reading) if reading.may_be(entry.address)]
    return found if len({entry.address.lower() for entry in found}) == 1 else []


def _named_in_the_subject(reading: _Reading) -> list[Entry]:
    return [Entry(address) for address in addresses_in(reading.notice.subject[:1_000])]


def _the_only_one(reading: _Reading) -> list[Entry]:
    """To whom the returned mail went, where that is one; else whom our return path stands for (VERP)."""
    notice = reading.notice
    if len(notice.returned_to) == 1:
        return [Entry(notice.returned_to[0])]
    own = list(addresses_in(notice.mail.header("to")[:2_000]))
    return [Entry(original_of(address)) for address in own[:1] if original_of(address) != address]


_WAYS: tuple[Way, ...] = (
    _below_the_sentence,
    _named_as_recipient,
    _within_the_sentence,
    _in_the_transcript,
    _known_from_the_returned_mail,
    _named_in_a_header,
    _the_only_one_in_the_text,
    _named_in_the_subject,
    _the_only_one,
)


def _all_in_the_text(reading: _Reading) -> list[Entry]:
    lines = [
        (at, line) for at, line in enumerate(reading.lines) if "@" in line and not _OF_SENDER.match(line)
    ]
    return [
        Entry(address, reading.paragraphs(at)) for at, line in lines[:100] for address in addresses_in(line)
    ]


def _once(found: list[Entry]) -> list[Entry]:
    """Each address once; the entry that has words counts."""
    best: dict[str, Entry] = {}
    for entry in found:
        known = best.get(entry.address.lower())
        if known is None or (entry.paragraphs and not known.paragraphs):
            best[entry.address.lower()] = entry
    return list(best.values())
