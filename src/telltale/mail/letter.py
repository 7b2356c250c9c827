"""Reading what a person wrote: sender, subject, text. RFC 5322, MIME; tolerant of what the world sends."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parseaddr
from html.parser import HTMLParser

MOST_TEXT = 500_000  # characters that we keep of one letter as text; the mail itself is stored whole
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,995}>")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a person's mail says."""

    from_address: str
    from_name: str
    subject: str
    text: str
    message_id: str  # with its angle brackets, "" where it has none
    answers: tuple[str, ...]  # the message ids of In-Reply-To and References


def read_letter(raw: bytes) -> Letter:
    """The letter in these octets. Never raises: what cannot be read is empty."""
    message = message_from_bytes(raw)
    name, address = parseaddr(header(message, "From"))
    ids = _MESSAGE_ID.findall(header(message, "Message-ID"))
    answers = _MESSAGE_ID.findall(f"{header(message, 'In-Reply-To')} {header(message, 'References')}")
    return Letter(
        from_address=address[:254],
        from_name=name[:200],
        subject=header(message, "Subject")[:998],
        text=_text(message)[:MOST_TEXT].replace("\0", ""),
        message_id=ids[0] if ids else "",
        answers=tuple(dict.fromkeys(answers))[:100],
    )


def header(message: Message, name: str) -> str:
    """A header's words, decoded and on one line."""
    value = str(message.get(name, ""))
    # An unknown charset or a broken encoding: the raw words say more than nothing.
    with suppress(HeaderParseError, LookupError, ValueError):
        value = str(make_header(decode_header(value)))
    return " ".join(value.replace("\0", "").split())


def _text(message: Message) -> str:
    """The first plain text; else the first HTML, without its markup."""
    parts = [part for part in message.walk() if not part.is_multipart() and not part.get_filename()]
    for wanted, reading in (("text/plain", str), ("text/html", _without_markup)):
        for part in parts:
            if part.get_content_type() == wanted:
                return reading(_decoded(part)).strip()
    return ""


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    try:
        return octets.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return octets.decode("utf-8", "replace")


class _TextOfHtml(HTMLParser):
    _NOT_TEXT = ("script", "style", "head", "title")
    _NEW_LINE = ("br", "p", "div", "tr", "li", "blockquote", "h1", "h2", "h3")

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in self._NOT_TEXT
        if tag in self._NEW_LINE:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in self._NOT_TEXT))

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _without_markup(html: str) -> str:
    parser = _TextOfHtml()
    parser.feed(html)
    parser.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(parser.words))
