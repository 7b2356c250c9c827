"""Addresses as others write them: typed fields, text, and what servers on the way made of them.

RFC 3464 section 2.3 and RFC 6533 section 3 (typed addresses), RFC 3461 section 4 (xtext), RFC 5321 (syntax).
Rule: nothing is guessed. What does not have the shape of such a rewriting stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

LONGEST_ADDRESS = 320  # characters: 64 before the @, 255 behind it, RFC 5321 section 4.5.3.1
LONGEST_FIELD = 2_000  # characters of a field that holds one address
MOST_ADDRESSES = 1_000  # that are taken out of one text

# The patterns have bounds: no text, however long, makes them look further than one address reaches.
_ATOM = r"[^\s<>()\[\]{}:;,\"'@|\\]"
LOCAL_PART = rf"(?:\"(?:[^\"\\\n]|\\.){{1,64}}+\"|(?:{_ATOM}|(?<=\w)'(?=\w)){{1,200}}+)"
DOMAIN = r"(?:\[[0-9A-Fa-f.:]{3,50}\]|\w[\w-]{0,62}+(?:\.\w[\w-]{0,62}+){0,20}+)"
ADDRESS = rf"{LOCAL_PART}@{DOMAIN}"

_IN_TEXT = re.compile(rf"(?<![^\s<>()\[\]{{}}:;,\"'|]){ADDRESS}(?!@)")
_MARKS = "*="  # "*ana@lamp.example*"
_WORDS_BEHIND = re.compile(r"(\.[A-Za-z]{2,63})[^\x00-\u2e7f][^.]*$")
_WHOLE = re.compile(ADDRESS)
_TYPED = re.compile(r"\s*+([\w-]{1,40}+)\s*;\s*+(.*)", re.DOTALL)
_COMMENT_BEHIND = re.compile(r"\s{1,5}\([^()]{0,200}\)$")
_SOURCE_ROUTE = re.compile(r"(?:@[\w.-]{1,255},?){1,10}:")  # "@a,@b:ana@lamp.example", RFC 5321 appendix C
_UTF8_ESCAPE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 section 3
_XTEXT = re.compile(r"\+([0-9A-F]{2})")  # RFC 3461 section 4
_HIGHEST_CODE_POINT = 0x10FFFF

_PRVS = re.compile(r"(?:prvs|msprvs1|batv)=(?:[0-9a-zA-Z+/]{4,40}=)(?P<local>.{1,64})")  # BATV
_PRVS_BEHIND = re.compile(r"prvs=(?P<local>.{1,64}?)/[0-9a-f]{10}")  # as it once was: "prvs=ana/1234abcdef"
_SRS0 = re.compile(
    r"SRS0[-+=][^=]{1,40}=[^=]{1,10}=(?P<domain>[\w.-]{1,255})=(?P<local>.{1,64})", re.IGNORECASE
)
_SRS1 = re.compile(r"SRS1[-+=][^=]{1,40}=[\w.-]{1,255}=(?P<rest>[-+=].{1,300})", re.IGNORECASE)
# "bounces+ana=lamp.example", "news-return-17-ana=lamp.example", "news-ana=lamp.example"
_VERP = re.compile(
    r"(?:[^+]{1,100}\+|.{1,100}?-return-\d{1,10}-|.{1,100}?-)(?P<local>[^=]{1,64})=(?P<domain>[\w-]+(?:\.[\w-]+)+)"
)


def typed(value: str) -> tuple[str, str]:
    """ "rfc822; ana@lamp.example" as ("rfc822", "ana@lamp.example"); ("", value) where no type is given."""
    found = _TYPED.fullmatch(value)
    return (found[1].lower(), found[2].strip()) if found else ("", value.strip())


def address_of(value: str) -> str:
    """The address in a field such as Final-Recipient: without type, brackets, comment, route and escapes."""
    if not value:
        return ""
    kind, address = typed(value[:LONGEST_FIELD])
    address = bare(address)
    if kind == "utf-8":
        return _UTF8_ESCAPE.sub(_character, address)
    return xtext_undone(address) if "+" in address and kind == "rfc822" and _is_xtext(address) else address


def bare(address: str) -> str:
    """Without the brackets around it, a comment behind it and the route before it."""
    address = address.strip()
    if address.endswith(")"):
        address = _COMMENT_BEHIND.sub("", address)
    opened, closed = address.find("<"), address.rfind(">")
    if opened >= 0 and closed > opened + 1 and "@" in address[opened:closed]:
        address = address[opened + 1 : closed]
    address = address.strip(" \t<>").removeprefix("mailto:")
    return _SOURCE_ROUTE.sub("", address, count=1) if address.startswith("@") else address


def is_address(text: str) -> bool:
    """Whether this is one address and nothing else."""
    return len(text) <= LONGEST_ADDRESS and _WHOLE.fullmatch(text) is not None


def addresses_in(text: str) -> Iterator[str]:
    """The addresses in a text or a header, in their order, each as it is written there."""
    if "@" not in text:
        return
    for found in islice(_IN_TEXT.finditer(text), MOST_ADDRESSES):
        address = found[0].rstrip(".")
        if address[0] in _MARKS:
            address = _without_marks(address)
        yield address if address.isascii() else _without_words_behind(address)


def original_of(address: str) -> str:
    """Whom a rewritten address stands for: BATV, SRS and VERP undone; the address itself where it is none."""
    local_part, _, domain = address.rpartition("@")
    if "=" not in local_part:
        return address
    if found := _PRVS.fullmatch(local_part) or _PRVS_BEHIND.fullmatch(local_part):
        return f"{found['local']}@{domain}"
    if found := _SRS1.fullmatch(local_part):
        local_part = f"SRS0{found['rest']}"
    if found := _SRS0.fullmatch(local_part) or _VERP.fullmatch(local_part):
        return f"{found['local']}@{found['domain']}"
    return address


def xtext_undone(text: str) -> str:
    """ "ana+2Bnews@lamp.example" as "ana+news@lamp.example": RFC 3461 section 4."""
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), text)


def same(one: str, other: str) -> bool:
    """Whether two spellings name one mailbox, as far as anybody but its own server can tell."""
    return folded(one) == folded(other)


def folded(address: str) -> str:
    """What all spellings of one mailbox have in common: for looking up one among many."""
    local_part, _, domain = address.strip("<> ").rpartition("@")
    return f"{local_part}@{_ascii_domain(domain)}".lower()


def _without_marks(address: str) -> str:
    """ "*@lamp.example" keeps them: it would be left without its local part."""
    unmarked = address.lstrip(_MARKS)
    return address if unmarked.startswith("@") else unmarked


def _without_words_behind(address: str) -> str:
    """Chinese and Japanese put no space behind an address: no top-level domain begins "com" and goes on "的"."""
    return _WORDS_BEHIND.sub(r"\1", address)


def _ascii_domain(domain: str) -> str:
    if domain.isascii() or len(domain) > 253:
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def _is_xtext(address: str) -> bool:
    """In xtext a "+" is always an escape; "ana+2024@lamp.example" is a plain address all the same."""
    escapes = _XTEXT.findall(address)
    return len(escapes) == address.count("+") and all(escape in ("2B", "3D") for escape in escapes)


def _character(escape: re.Match[str]) -> str:
    point = int(escape[1], 16)
    return chr(point) if point <= _HIGHEST_CODE_POINT and not 0xD800 <= point <= 0xDFFF else escape[0]
