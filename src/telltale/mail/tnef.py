"""Takes winmail.dat apart: the files that Outlook and Exchange hide in one, [MS-OXTNEF].

Rule 1: linear in its size, whatever a stranger wrote there: each object and each property is looked at once.
Rule 2: what cannot be read ends the reading, and what was read until then counts.

Why no library: tnefparse copies the rest of the file for each object, and trusts the counts that stand in it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x78\x9f\x3e\x22"
MOST_FILES = 100
MOST_PROPERTIES = 500  # of one file

# Section 2.1.3.4: attributes, those of a file between one RENDDATA and the next.
_RENDDATA, _TITLE, _DATA, _PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
_OF_MESSAGE, _OF_FILE = 1, 2
# [MS-OXPROPS]: property ids of a file.
_LONG_NAME, _MEDIA_TYPE, _CONTENT_ID, _CONTENT = 0x3707, 0x370E, 0x3712, 0x3701
_STRING8, _UNICODE, _OBJECT, _BINARY = 0x001E, 0x001F, 0x000D, 0x0102
_FIXED = {
    **dict.fromkeys((0x0002, 0x0003, 0x0004, 0x000A, 0x000B), 4),  # in units of four octets, section 2.1.3.4
    **dict.fromkeys((0x0005, 0x0006, 0x0007, 0x0014, 0x0040), 8),
    0x0048: 16,
}


@dataclass(slots=True)
class TnefFile:
    name: str = ""
    media_type: str = ""
    content_id: str = ""
    octets: bytes = b""


def files_in(octets: bytes) -> list[TnefFile]:
    """The files, at most MOST_FILES. Never raises; an empty list where it is no TNEF, or holds none."""
    found: list[TnefFile] = []
    if not octets.startswith(SIGNATURE):
        return found
    for level, attribute, data in _attributes(octets):
        if level != _OF_FILE:
            continue
        if attribute == _RENDDATA:
            if len(found) == MOST_FILES:
                break
            found.append(TnefFile())
        elif found:
            _take(found[-1], attribute, data)
    return [file for file in found if file.octets]


def _attributes(octets: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Level, id and data of each: section 2.1.3.1. They stand behind the signature and a key of two octets."""
    view, at = memoryview(octets), 6
    while at + 11 <= len(view):
        level, attribute, _type, length = struct.unpack_from("<BHHI", view, at)
        end = at + 9 + length
        if level not in (_OF_MESSAGE, _OF_FILE) or end > len(view):
            return
        yield level, attribute, view[at + 9 : end]
        at = end + 2  # a checksum


def _take(file: TnefFile, attribute: int, data: memoryview) -> None:
    if attribute == _TITLE:
        file.name = file.name or _text(bytes(data), _STRING8)
    elif attribute == _DATA:
        file.octets = bytes(data)
    elif attribute == _PROPERTIES:
        for identity, kind, value in _properties(data):
            if identity == _LONG_NAME:
                file.name = _text(value, kind) or file.name
            elif identity == _MEDIA_TYPE:
                file.media_type = _text(value, kind)
            elif identity == _CONTENT_ID:
                file.content_id = _text(value, kind)
            elif identity == _CONTENT and kind == _BINARY and not file.octets:
                file.octets = value


def _properties(data: memoryview) -> Iterator[tuple[int, int, bytes]]:
    """Id, type and value of those with a text or octets. Ends at what it does not know."""
    try:
        yield from _read_properties(data)
    except struct.error:  # it ends in the middle of one
        return


def _read_properties(data: memoryview) -> Iterator[tuple[int, int, bytes]]:
    (count,) = struct.unpack_from("<I", data, 0)
    at = 4
    for _ in range(min(count, MOST_PROPERTIES)):
        kind, identity = struct.unpack_from("<HH", data, at)
        at += 4
        if identity >= 0x8000:  # it has a name: a GUID, and a number or a text
            (has_text, length) = struct.unpack_from("<II", data, at + 16)
            at += 24 + (_padded(length) if has_text else 0)
        if kind in _FIXED:
            at += _FIXED[kind]
        elif kind in (_STRING8, _UNICODE, _OBJECT, _BINARY):
            one, length = struct.unpack_from("<II", data, at)
            if one != 1 or at + 8 + length > len(data):
                return
            yield identity, kind, bytes(data[at + 8 : at + 8 + length])
            at += 8 + _padded(length)
        else:
            return


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4


def _text(octets: bytes, kind: int) -> str:
    """Up to its NUL. Strings of eight bits are in a code page that the file may name; Windows-1252 it mostly is."""
    words = octets.decode("utf-16-le" if kind == _UNICODE else "cp1252", "replace")
    return words.partition("\0")[0].strip()
