"""What a server offers: its EHLO reply, RFC 5321 section 4.1.1.1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from telltale.mail.reply import SmtpReply

_MOST_DIGITS = 20  # of a SIZE, RFC 1870 section 3


@dataclass(frozen=True, slots=True)
class Extensions:
    """The keywords of an EHLO reply in lower case, each with its parameters."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[str, ...] = ()  # as they came

    @classmethod
    def of(cls, reply: SmtpReply) -> Extensions:
        """The first line greets us; each that follows offers something. A HELO reply offers nothing."""
        offers: dict[str, str] = {}
        for line in reply.lines[1:]:
            keyword, _, parameters = line[4:].strip().partition(" ")
            if keyword.lower().startswith(
                "auth="
            ):  # a draft of RFC 2554 wrote it so, and some servers still do
                keyword, parameters = "auth", f"{keyword[5:]} {parameters}"
            if keyword:
                offers[keyword.lower()] = f"{offers.get(keyword.lower(), '')} {parameters}".strip()
        return cls(offers, reply.lines[1:])

    def __contains__(self, keyword: str) -> bool:
        return keyword.lower() in self.parameters

    @property
    def auth_mechanisms(self) -> tuple[str, ...]:
        """In upper case, each once: RFC 4954 section 3."""
        return tuple(dict.fromkeys(self.parameters.get("auth", "").upper().split()))

    @property
    def size_limit(self) -> int | None:
        """The largest message, in octets; None where the server names no limit. RFC 1870 section 3."""
        digits = self.parameters.get("size", "")
        if not (digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS):
            return None
        return int(digits) or None

    def line(self, keyword: str) -> str:
        """The line that offers it, as it came; "" where none does."""
        return next((line for line in self.lines if line[4:].upper().split(" ")[0] == keyword), "")
