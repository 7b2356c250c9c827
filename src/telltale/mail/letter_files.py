"""The files of a letter: what its sender attached, the pictures in its text, mails that it encloses.

Rule 1: whatever a stranger calls a file, the name that comes out is one line of visible characters and no path.
Rule 2: files in any number may come; the first MOST_FILES are taken out, and the mail itself is stored whole.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO
from itertools import islice
from pathlib import PurePosixPath

from telltale.mail.decoding import words_decoded
from telltale.mail.tnef import TnefFile, files_in

MOST_FILES = 100
LONGEST_NAME = 150  # characters
LONGEST_ENDING = 20
ENCLOSED_MAIL = "message/rfc822"
TNEF_TYPES = ("application/ms-tnef", "application/vnd.ms-tnef")

# Line ends, control characters, and what turns the reading direction round: "exe.txt" that is a "txt.exe".
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_NOT_IN_A_NAME = re.compile(r'[<>:"|?*]')
_IN_BRACKETS = re.compile(r"<([\x21-\x7e]{1,250})>")
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class LetterFile:
    """One file, as its sender sent it."""

    name: str  # fit to be shown and saved
    content_type: str  # as the sender says, in lower case: nothing to rely on
    octets: bytes
    content_id: str = ""  # by which the letter's HTML names it, without angle brackets: RFC 2392


def files_of(letter: Message) -> tuple[LetterFile, ...]:
    """The files of a parsed mail in their order. Never raises; a file that cannot be decoded comes as it stands."""
    return tuple(islice(_files(letter), MOST_FILES))


def _files(letter: Message) -> Iterator[LetterFile]:
    for part in _file_parts(letter):
        file = LetterFile(_name(part), _content_type(part), _octets(part), _content_id(part))
        if file.content_type in TNEF_TYPES or file.name.lower() == "winmail.dat":
            yield from _unpacked(file) or [file]
        else:
            yield file


def _unpacked(winmail: LetterFile) -> list[LetterFile]:
    """What Outlook put into a winmail.dat, which no other program opens."""
    return [
        LetterFile(
            safe_name(inner.name, _type_of(inner)), _type_of(inner), inner.octets, inner.content_id[:250]
        )
        for inner in files_in(winmail.octets)
    ]


def _type_of(inner: TnefFile) -> str:
    guessed = inner.media_type or mimetypes.guess_type(inner.name)[0] or ""
    return guessed.lower() if _TYPE.fullmatch(guessed) else "application/octet-stream"


def is_file(part: Message) -> bool:
    """Whether this leaf is a file, and none of the letter's words."""
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return True
    return part.get_content_type() not in ("text/plain", "text/html")


def safe_name(name: str, content_type: str) -> str:
    """A file name without folders and without what cannot be seen; made up where nothing is left of it."""
    last = re.split(r"[/\\]", _INVISIBLE.sub("", name))[-1]
    shown = " ".join(_NOT_IN_A_NAME.sub("_", last).split()).strip(". ")
    if not shown:
        return f"attachment{mimetypes.guess_extension(content_type) or ''}"
    ending = PurePosixPath(shown).suffix
    if len(shown) <= LONGEST_NAME or len(ending) > LONGEST_ENDING:
        return shown[:LONGEST_NAME]
    return shown[: LONGEST_NAME - len(ending)] + ending


def _file_parts(part: Message) -> Iterator[Message]:
    """An enclosed mail is one file, whatever it has in it."""
    if part.get_content_maintype() != "multipart":
        if is_file(part):
            yield part
        return
    for inner in part.get_payload() if part.is_multipart() else []:
        if isinstance(inner, Message):
            yield from _file_parts(inner)


def _content_type(part: Message) -> str:
    content_type = part.get_content_type()
    return content_type if _TYPE.fullmatch(content_type) else "application/octet-stream"


def _content_id(part: Message) -> str:
    found = _IN_BRACKETS.fullmatch(str(part.get("Content-ID", "")).strip())
    return found[1] if found else ""


def _name(part: Message) -> str:
    content_type = _content_type(part)
    given = words_decoded(_parameter(part))
    if not given and content_type == ENCLOSED_MAIL:
        subject = words_decoded(str(_enclosed(part).get("Subject", "")))
        given = f"{subject.replace('/', '_') or 'mail'}.eml"
    return safe_name(given, content_type)


def _parameter(part: Message) -> str:
    """The file's name as its header has it. Octets that are no ASCII stand there as UTF-8 more often than not."""
    for field in ("Content-Disposition", "Content-Type"):
        for name, value in part.raw_items():
            if name.lower() == field.lower() and not str(value).isascii():
                readable = str(value).encode("ascii", "surrogateescape").decode("utf-8", "replace")
                part.replace_header(name, readable)
                break
    return part.get_filename() or ""


def _octets(part: Message) -> bytes:
    inner = part.get_payload()
    if isinstance(inner, list):  # of an enclosed mail one; of a delivery status its groups of fields
        return b"".join(_as_mail(one) for one in inner if isinstance(one, Message))
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _enclosed(part: Message) -> Message:
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    return inner if isinstance(inner, Message) else Message()


def _as_mail(mail: Message) -> bytes:
    """Its octets again. `email` cannot write some mails that it has read: then at least the header's words."""
    written = BytesIO()
    with suppress(Exception):
        BytesGenerator(written, mangle_from_=False, maxheaderlen=0).flatten(mail)
    return written.getvalue()
