"""Takes a mail apart: its header fields, its parts, their octets. RFC 5322, RFC 2045, RFC 2046.

Rule 1: whatever comes in, something comes out, in time linear in its size; parts and depth have bounds.
Rule 2: nothing is copied or decoded before somebody asks for it.
Rule 3: an enclosed mail is one part and stays closed, until `enclosed` opens it.
"""

from __future__ import annotations

import re

from telltale.mail.decoding import text_of, transfer_decoded, words_decoded
from telltale.mail.lazy import Lazy

MOST_PARTS = 200  # a report has three
DEEPEST = 12  # multiparts within each other
LONGEST_HEADER = 1_000_000  # octets of one header that are read
LONGEST_WORDS = 10_000  # characters of one field whose encoded words are read
LONGEST_PARAMETERS = 4_000  # characters of one Content-Type that are read
ENCLOSED = {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}

# A field and the lines that continue it; the first line that is neither ends the header. An mbox may begin
# with its "From " line. Possessive throughout, so that nothing is tried twice.
_HEADER = re.compile(rb"(?:>?From [^\n]*\n)?+(?:[!-9;-~]++[ \t]*+:[^\n]*\n?(?:[ \t][^\n]*\n?)*+)*+")
_FIELD = re.compile(r"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE)
_TYPE = re.compile(r"\s*([\w.+-]{1,80}/[\w.+-]{1,80})")
_PARAMETER = re.compile(r";\s*+([\w-]{1,60}+)(\*\d{1,2})?+(\*)?+\s*+=\s*+(?:\"([^\"]*+)\"?|([^;\s\"]*+))")
_LIKELY_DELIMITER = re.compile(
    rb"^--([^\n]{1,200})\n(?=Content-[A-Za-z-]{1,40}:)", re.MULTILINE | re.IGNORECASE
)
_EMPTY_LINES = re.compile(rb"(?:[ \t\r]*+\n)*+")
_AFTER_DELIMITER = b" \t\n"


class Part:
    """One part of a mail, or a mail: octets from `start` to `end`, line ends are line feeds."""

    def __init__(
        self, octets: bytes, start: int, end: int, *, depth: int = 0, is_of_digest: bool = False
    ) -> None:
        self.octets = octets
        self.start = start
        self.end = end
        self.depth = depth
        self.oddities: list[str] = []
        self._default_type = "message/rfc822" if is_of_digest else "text/plain"
        found = _HEADER.match(octets, start, min(end, start + LONGEST_HEADER))
        self._header_end = found.end() if found else start
        self.body_start = min(
            end, self._header_end + (octets[self._header_end : self._header_end + 1] == b"\n")
        )

    @Lazy
    def fields(self) -> dict[str, list[str]]:
        """The values of each field as they stand, folds and all, by its name in lower case."""
        fields: dict[str, list[str]] = {}
        header = self.octets[self.start : self._header_end].decode("utf-8", "backslashreplace")
        for name, value in _FIELD.findall(header):
            key = name.lower()
            if key in fields:
                fields[key].append(value)
            else:
                fields[key] = [value]
        return fields

    def header(self, name: str) -> str:
        """The first field of this name (in lower case), unfolded; "" where there is none."""
        values = self.fields.get(name)
        return unfolded(values[0]) if values else ""

    def headers(self, name: str) -> list[str]:
        """All fields of this name (in lower case), each unfolded."""
        values = self.fields.get(name)
        return [unfolded(value) for value in values] if values else []

    def words(self, name: str) -> str:
        """The first field of this name with its encoded words read."""
        return words_decoded(self.header(name)[:LONGEST_WORDS])

    @Lazy
    def content_type(self) -> str:
        """In lower case, and what RFC 2045 section 5.2 takes it for where none is given."""
        found = _TYPE.match(self.header("content-type"))
        return found[1].lower() if found else self._default_type

    @Lazy
    def parameters(self) -> dict[str, str]:
        """Those of Content-Type, names in lower case; pieces of RFC 2231 are put together."""
        parameters: dict[str, str] = {}
        value = self.header("content-type")[:LONGEST_PARAMETERS]
        for name, piece, _, quoted, plain in _PARAMETER.findall(value):
            before = parameters.get(name.lower(), "") if piece else ""
            parameters[name.lower()] = before + (quoted or plain)
        return parameters

    @Lazy
    def is_attached(self) -> bool:
        return self.header("content-disposition").lower().startswith("attachment")

    def content(self, most: int) -> bytes:
        """The body without its transfer encoding; at most `most` octets of it are looked at."""
        octets = self.octets[self.body_start : min(self.end, self.body_start + most)]
        encoding = self.header("content-transfer-encoding").lower()
        return transfer_decoded(octets, encoding) if encoding else octets

    def text(self, most: int) -> str:
        """The body as characters."""
        return text_of(self.content(most), self.parameters.get("charset", ""))

    def enclosed(self, most: int) -> Part:
        """The mail that this part encloses, or the header of one; opened, at most `most` octets of it."""
        if "content-transfer-encoding" not in self.fields:
            end = min(self.end, self.body_start + most)
            return Part(self.octets, _first_line(self.octets, self.body_start), end, depth=self.depth + 1)
        octets = self.content(most).replace(b"\r\n", b"\n")
        return Part(octets, _first_line(octets), len(octets), depth=self.depth + 1)

    def as_text(self) -> Part:
        """The same octets, taken for plain text whatever Content-Type says."""
        part = Part(self.octets, self.start, self.end, depth=self.depth)
        part.content_type = "text/plain"
        return part

    def parts(self) -> list[Part]:
        """The parts that this one consists of: RFC 2046 section 5.1."""
        if not self.content_type.startswith("multipart/") or self.depth >= DEEPEST:
            return []
        is_digest = self.content_type == "multipart/digest"
        depth = self.depth + 1
        return [
            Part(self.octets, start, end, depth=depth, is_of_digest=is_digest)
            for start, end in self._between_delimiters()
        ]

    def _between_delimiters(self) -> list[tuple[int, int]]:
        octets = self.octets
        found: list[tuple[int, int]] = []
        delimiter, at = self._first_delimiter()
        while at >= 0 and not octets.startswith(b"--", at + len(delimiter)) and len(found) < MOST_PARTS:
            line_end = octets.find(b"\n", at, self.end)
            if line_end < 0:
                return found
            at = self._next(delimiter, line_end)
            found.append((line_end + 1, max(line_end + 1, at - 1) if at >= 0 else self.end))
        if at < 0 and found:
            self.oddities.append("the last part does not end")
        return found

    def _first_delimiter(self) -> tuple[bytes, int]:
        """The line that parts the parts, and where it stands first; -1 where it does not."""
        if boundary := self.parameters.get("boundary", "").rstrip():
            delimiter = b"--" + boundary.encode("utf-8", "backslashreplace")
            if (at := self._next(delimiter, max(self.body_start - 1, 0))) >= 0:
                return delimiter, at
        found = _LIKELY_DELIMITER.search(self.octets, self.body_start, self.end)
        if found is None:
            return b"", -1
        self.oddities.append("the boundary of Content-Type is not that of the parts")
        return b"--" + found[1].rstrip(), found.start()

    def _next(self, delimiter: bytes, line_end: int) -> int:
        """Where the next line begins that is this delimiter, or -1. One boundary may begin with another."""
        line = b"\n" + delimiter
        at = self.octets.find(line, line_end, self.end)
        while at >= 0:
            after = at + len(line)
            if (
                after >= self.end
                or self.octets[after] in _AFTER_DELIMITER
                or self.octets.startswith(b"--", after)
            ):
                return at + 1
            at = self.octets.find(line, at + 1, self.end)
        return -1


def parse(raw: bytes) -> Part:
    """The mail in these octets."""
    octets = raw.replace(b"\r\n", b"\n") if b"\r\n" in raw else raw
    return Part(octets, _first_line(octets), len(octets))


def unfolded(value: str) -> str:
    """The value of a field on one line: RFC 5322 section 2.2.3."""
    return " ".join(value.split()) if "\n" in value else value.strip()


def walk(mail: Part) -> list[Part]:
    """The mail and its parts in their order, MOST_PARTS at most; enclosed mails stay closed."""
    found: list[Part] = []
    waiting = [mail]
    while waiting and len(found) < MOST_PARTS:
        part = waiting.pop()
        found.append(part)
        if part.content_type.startswith("multipart/"):
            waiting += reversed(part.parts())
    return found


def _first_line(octets: bytes, start: int = 0) -> int:
    """Some mail was stored with empty lines in front of its header."""
    found = _EMPTY_LINES.match(octets, start)
    return found.end() if found else start
