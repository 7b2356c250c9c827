"""From octets to characters: transfer encodings (RFC 2045 section 6), charsets, encoded words (RFC 2047).

Rule 1: nothing here raises. What cannot be decoded stands as escapes (`\\xee`), so that no octet is lost.
Rule 2: every codec that is used takes time linear in its input.
"""

from __future__ import annotations

import binascii
import codecs
import re

# Codecs that are no charset of mail; "punycode" and "idna" take quadratic time.
_NOT_FOR_MAIL = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"}
_ASCII_ALIKE = {"", "us-ascii", "ascii", "utf-8", "utf8", "iso-8859-1", "windows-1252", "iso-8859-15"}
_ESCAPE_OF_ISO_2022 = b"\x1b$"  # Japanese mail of old, often without a charset
_EUC_JP = re.compile(rb"(?:[\x00-\x7f]|[\xa1-\xfe]{2}|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2})*+")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?\n]*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")


def transfer_decoded(octets: bytes, encoding: str) -> bytes:
    """The octets without their Content-Transfer-Encoding; as they are where it is none or unknown."""
    if encoding == "base64":
        return base64_decoded(octets)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(octets)
    return octets


def base64_decoded(octets: bytes) -> bytes:
    """As much as there is of it: mail is cut off anywhere, and lists add lines in clear."""
    letters = _NOT_BASE64.sub(b"", octets)
    whole = len(letters) // 4 * 4
    rest = letters[whole:]
    padded = rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
    return binascii.a2b_base64(letters[:whole] + padded)


def text_of(octets: bytes, charset: str = "") -> str:
    """The characters of these octets, with line feeds as line ends."""
    name = charset.lower() if charset else ""
    if name in _ASCII_ALIKE and octets.isascii() and _ESCAPE_OF_ISO_2022 not in octets:
        text = octets.decode("ascii")
    else:
        text = _decoded(octets, _codec(octets, name))
    return text.replace("\r\n", "\n") if "\r" in text else text


def words_decoded(value: str) -> str:
    """A header's value with its encoded words read: RFC 2047."""
    if "=?" not in value:
        return value
    return _ENCODED_WORD.sub(_word, _BETWEEN_WORDS.sub("", value))


def without_surrogates(text: str) -> str:
    """With halves of characters as escapes: UTF-7 and JSON can hold one, and no file or database takes it."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _codec(octets: bytes, charset: str) -> str:
    if _ESCAPE_OF_ISO_2022 in octets and charset in _ASCII_ALIKE:
        return "iso2022_jp_ext"
    try:
        name = codecs.lookup(charset or "utf-8").name
    except (LookupError, ValueError):
        return "utf-8"
    if name in _NOT_FOR_MAIL or (name == "ascii" and not octets.isascii()):
        return "utf-8"
    return _japanese(octets) if name.startswith("iso2022_jp") else name


def _japanese(octets: bytes) -> str:
    """Mail servers of Japan say ISO-2022-JP, and phones put more into it; some then write another charset."""
    return "iso2022_jp_ext" if octets.isascii() else "euc_jp" if _EUC_JP.fullmatch(octets) else "cp932"


def _decoded(octets: bytes, codec: str) -> str:
    try:
        text = octets.decode(codec, "backslashreplace")
    except (LookupError, ValueError):  # a codec that decodes no text, or knows no escapes
        return octets.decode("utf-8", "backslashreplace")
    return text if codec == "utf-8" else without_surrogates(text)


def _word(found: re.Match[str]) -> str:
    charset, how, letters = found.groups()
    octets = letters.encode("utf-8", "surrogatepass")
    if how in "bB":
        return text_of(base64_decoded(octets), charset)
    return text_of(binascii.a2b_qp(octets, header=True), charset)
