"""Reading what a person wrote: sender, subject, text. RFC 5322, MIME; tolerant of what the world sends.

Rule 1: whatever comes in, a letter comes out. What cannot be read is empty; the mail itself is stored whole.
Rule 2: the time that it takes grows with the size of the mail and not faster: strangers write these.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses

from telltale.mail.formatted import MOST_HTML, as_html
from telltale.mail.letter_files import LetterFile, files_of, is_file
from telltale.mail.text_of_html import text_of_html

MOST_TEXT = 500_000  # characters that we keep of one letter as text
MOST_MULTIPARTS = 100  # a long thread of forwarded mails has twenty; `email` gets very slow with very many
MOST_PARTS = 10_000  # lines that may be boundaries
MOST_HEADER = 64_000  # octets in which a field is looked for that stands at the top
MOST_RECIPIENTS = 100
LONGEST_ADDRESS = 254  # octets, RFC 5321 section 4.5.3.1.3

_MESSAGE_ID = re.compile(r"<[^<>\s]{3,995}>")
_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")
_IN_BRACKETS = re.compile(r"<\s*([^\s<>@]+@[^\s<>@]+)\s*>")
# Control characters, line ends, what turns the reading direction round; joiners stay: emoji are made with them.
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_MULTIPART = re.compile(rb"^content-type:\s*(?:multipart|message)/", re.IGNORECASE | re.MULTILINE)
# What senders call by the narrower name: WHATWG Encoding, section 4.2.
_WIDER = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "iso-8859-8-i": "iso-8859-8",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """What a person's mail says."""

    from_address: str  # "" where it names no sender
    from_name: str
    subject: str
    date: str  # as the sender's program wrote it
    text: str
    message_id: str  # with its angle brackets, "" where it has none
    answers: tuple[str, ...]  # the message ids of In-Reply-To and References
    files: tuple[LetterFile, ...] = ()
    recipients: tuple[tuple[str, str], ...] = ()  # names and addresses of To and Cc
    html: str = ""  # the same words, formatted, as they came: not safe to show; "" where there is none


def read_letter(raw: bytes) -> Letter:
    """The letter in these octets. Never raises: what cannot be read is empty."""
    message = _parsed(raw)
    name, address = _sender(_raw_header(message, "From"))
    ids = _MESSAGE_ID.findall(header(message, "Message-ID"))
    answers = _MESSAGE_ID.findall(f"{header(message, 'In-Reply-To')} {header(message, 'References')}")
    return Letter(
        from_address=address,
        from_name=name[:200],
        subject=header(message, "Subject")[:998],
        date=header(message, "Date"),
        text=_text(message)[:MOST_TEXT].replace("\0", "").strip(),
        message_id=ids[0] if ids else "",
        answers=tuple(dict.fromkeys(answers))[:100],
        files=files_of(message),
        recipients=_recipients(message),
        html=_html_within_bounds(message),
    )


def reverse_path(raw: bytes) -> str:
    """Whose mail it is by the Return-Path that the last server wrote, RFC 5321 section 4.4; "" where there is none."""
    field = _raw_header(BytesHeaderParser().parsebytes(raw[:MOST_HEADER]), "Return-Path")
    found = _IN_BRACKETS.findall(field)
    return found[0] if found else ""


def sender_of(raw: bytes) -> str:
    """The address in From; "" where there is none."""
    return _sender(_raw_header(BytesHeaderParser().parsebytes(raw[:MOST_HEADER]), "From"))[1]


def authentication_results(raw: bytes) -> list[str]:
    """The Authentication-Results fields, from the top: RFC 8601."""
    message = BytesHeaderParser().parsebytes(raw[:MOST_HEADER])
    return [str(value) for value in message.get_all("Authentication-Results") or []]


def header(message: Message, name: str) -> str:
    """A header's words, decoded and on one line; "" where there is none."""
    return _words(_raw_header(message, name))


def _parsed(raw: bytes) -> Message:
    """The whole mail; of one that is built to choke its reader, the header alone."""
    if raw.count(b"\n--") > MOST_PARTS or len(_MULTIPART.findall(raw)) > MOST_MULTIPARTS:
        return BytesHeaderParser().parsebytes(raw)
    return message_from_bytes(raw)


# Header fields


def _raw_header(message: Message, name: str) -> str:
    """The first field of this name as it came; octets that are no ASCII are read as what they may be."""
    for field, value in message.raw_items():
        if field.lower() == name.lower():
            return _decoded(str(value).encode("ascii", "surrogateescape"), "us-ascii")
    return ""


def _sender(field: str) -> tuple[str, str]:
    """Name and address. Encoded words are decoded last: what they hold is a name, never an address."""
    found = [(name, address) for name, address in getaddresses([field]) if _ADDRESS.fullmatch(address)]
    name, address = found[0] if found else ("", "")
    if not found and (in_brackets := _IN_BRACKETS.findall(field)):  # "Müller, Anna <anna@lamp.example>"
        name, address = field.partition("<")[0].strip(' "'), in_brackets[-1]
    if not address.isprintable() or len(address.encode()) > LONGEST_ADDRESS:
        return "", ""
    return _words(name), address


def _recipients(message: Message) -> tuple[tuple[str, str], ...]:
    fields = [_raw_header(message, name) for name in ("To", "Cc")]
    found = [(_words(name), address) for name, address in getaddresses(fields) if _ADDRESS.fullmatch(address)]
    fit = [
        (name[:200], one) for name, one in found if one.isprintable() and len(one.encode()) <= LONGEST_ADDRESS
    ]
    return tuple(fit[:MOST_RECIPIENTS])


def _words(value: str) -> str:
    """Encoded words decoded, RFC 2047; all of it visible and on one line."""
    with suppress(HeaderParseError, ValueError):
        pieces = decode_header(value) if value.isascii() else [(value, None)]
        value = "".join(
            piece if isinstance(piece, str) else _decoded(piece, charset or "us-ascii")
            for piece, charset in pieces
        )
    return " ".join(_INVISIBLE.sub(" ", value).split())


def _decoded(octets: bytes, charset: str) -> str:
    """As its label says; what does not fit its label is UTF-8 or Windows-1252 more often than not."""
    codec = _WIDER.get(charset.lower(), charset)
    for candidate in (codec, "utf-8"):
        with suppress(LookupError, ValueError):
            return octets.decode(candidate)
    with suppress(LookupError, ValueError):
        return octets.decode("cp1252" if codec == "us-ascii" else codec, "replace")
    return octets.decode("cp1252", "replace")


# The text


def _text(part: Message) -> str:
    """The words of this part and of those in it. Files and enclosed mails are not the letter's words."""
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        return _text_of_several([inner for inner in part.get_payload() if isinstance(inner, Message)], part)
    if part.is_multipart() or is_file(part):
        return ""
    text = _characters(part)
    return text_of_html(text) if part.get_content_subtype() == "html" else text.replace("\r\n", "\n")


def _text_of_several(parts: list[Message], whole: Message) -> str:
    texts = [(part.get_content_type(), text) for part in parts if (text := _text(part).strip())]
    if whole.get_content_subtype() != "alternative":
        return "\n\n".join(text for _, text in texts)
    plain = [text for content_type, text in texts if content_type == "text/plain"]
    return next(iter(plain or [text for _, text in texts]), "")


def _characters(leaf: Message) -> str:
    payload = leaf.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    return _decoded(octets, str(leaf.get_content_charset("us-ascii")))


# The same with its formatting


def _html_within_bounds(message: Message) -> str:
    html = _html(message).replace("\0", "")
    return html if len(html) <= MOST_HTML else ""


def _html(part: Message) -> str:
    """The HTML of this part and of those in it; "" where there is none. Apple Mail writes it in pieces around files."""
    if not part.is_multipart():
        return _characters(part) if part.get_content_type() == "text/html" and not is_file(part) else ""
    if part.get_content_maintype() != "multipart":
        return ""
    inner = [one for one in part.get_payload() if isinstance(one, Message)]
    pieces = [_html(one) for one in inner]
    if not any(pieces):
        return ""
    if part.get_content_subtype() == "alternative":
        return next(html for html in reversed(pieces) if html)
    return "\n".join(
        html or as_html(_text(one)) for one, html in zip(inner, pieces, strict=True) if html or _text(one)
    )
