"""What was said in one attempt, line by line, as an engineer would want to read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """A command of ours ("C"), a reply of the server ("S"), or what we found out ("-").

    A reply of several lines is one entry, verbatim. No password is here; the content is a count of octets.
    """

    at: datetime
    who: str
    text: str


class Transcript:
    """The lines of one attempt, in the order in which they happened; each answer behind what it answers."""

    def __init__(self) -> None:
        self.lines: list[TranscriptLine] = []

    def we_said(self, text: str, *, at: datetime | None = None) -> None:
        """`at`, where it was said earlier, together with others: it stands beside its answer all the same."""
        self._add("C", text, at)

    def server_said(self, text: str) -> None:
        self._add("S", text)

    def we_found(self, text: str) -> None:
        self._add("-", text)

    def _add(self, who: str, text: str, at: datetime | None = None) -> None:
        self.lines.append(TranscriptLine(at or datetime.now(UTC), who, text))
