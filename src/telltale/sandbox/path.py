"""What MAIL and RCPT name: a path and its parameters, RFC 5321 section 4.1.2. Pure: text in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from telltale.sandbox.providers import Provider

LONGEST_ADDRESS = 320  # characters: RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.2, generously
_MOST_DIGITS = 20  # of a size: RFC 1870 section 6.1

# "<address>" and what follows; a source route before the address is heard and ignored: RFC 5321 appendix C.
_PATH = re.compile(r"<(?:@[^:<>]*:)?([^<>\s]*)>((?: +\S+)*) *")


@dataclass(frozen=True, slots=True)
class Path:
    address: str  # "" for <>, the null sender
    parameters: Mapping[str, str]  # name in capitals -> value; "" where a parameter has none

    @classmethod
    def parse(cls, argument: str, *, keyword: str) -> Path | None:
        """The path behind "FROM:" or "TO:"; None where the syntax is wrong."""
        if argument[: len(keyword)].upper() != keyword:
            return None
        found = _PATH.fullmatch(argument[len(keyword) :].lstrip())
        if not found:
            return None
        words = (word.partition("=") for word in found[2].split())
        return cls(found[1], {name.upper(): value for name, _, value in words})

    @property
    def is_address(self) -> bool:
        local_part, at, domain = self.address.rpartition("@")
        return bool(local_part and at and domain) and len(self.address) <= LONGEST_ADDRESS

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2].lower()


def objection_to_sender(path: Path, provider: Provider) -> str:
    """The reply against the parameters of MAIL: RFC 1870, 6152, 6531. "" where there is none."""
    known = {"SIZE", "BODY", "SMTPUTF8"} if provider.smtputf8 else {"SIZE", "BODY"}
    size = path.parameters.get("SIZE", "0")
    if path.parameters.keys() - known:
        return "555 5.5.4 Unsupported option to MAIL"
    if not (size.isascii() and size.isdigit() and len(size) <= _MOST_DIGITS):
        return "501 5.5.4 Bad message size syntax"
    if int(size) > provider.size:
        return provider.words_for("too-large")
    if path.parameters.get("BODY", "7BIT").upper() not in ("7BIT", "8BITMIME"):
        return "501 5.5.4 Unknown BODY type"
    if not path.address.isascii() and "SMTPUTF8" not in path.parameters:
        return "553 5.6.7 Non-ASCII address without SMTPUTF8"
    return ""
