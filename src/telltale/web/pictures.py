"""Which octets are a picture that a browser may show: by themselves, whatever their sender calls them.

SVG is none of them: it is a document, with links and scripts.
"""

from __future__ import annotations

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"\xff\xd8\xff": "image/jpeg",
}
LONGEST_BEGINNING = 16  # octets


def picture_type(beginning: bytes) -> str:
    """The media type of what begins so; "" where it is no picture that is shown."""
    for octets, media_type in _BEGINNINGS.items():
        if beginning.startswith(octets):
            return media_type
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "image/webp"
    if beginning[4:12] == b"ftypavif":
        return "image/avif"
    return ""
