"""Enhanced mail system status codes: RFC 3463, registered by RFC 5248."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# RFC 3463 section 2: class 2, 4 or 5; subject and detail of one to three digits, no leading zeros.
_NUMBER = r"(?:0|[1-9]\d{0,2})"
_STATUS = re.compile(rf"([245])\.({_NUMBER})\.({_NUMBER})(?![\d.])")


@dataclass(frozen=True, slots=True, order=True)
class EnhancedStatus:
    """One status code such as 5.1.1: its class, subject and detail. RFC 3463 section 2."""

    class_: int
    subject: int
    detail: int

    @classmethod
    def parse(cls, text: str) -> EnhancedStatus | None:
        """The status code that `text` begins with, or None. "5.1.1 No such user" gives 5.1.1."""
        found = _STATUS.match(text)
        return _of_numbers(*found.groups()) if found else None

    @property
    def kind(self) -> str:
        """The code without its class, "X.1.1", as the registry of RFC 5248 lists it."""
        return f"X.{self.subject}.{self.detail}"

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


@lru_cache(maxsize=256)  # a dozen of them make up nearly all mail
def _of_numbers(class_: str, subject: str, detail: str) -> EnhancedStatus:
    return EnhancedStatus(int(class_), int(subject), int(detail))
