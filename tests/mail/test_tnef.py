"""winmail.dat: the files in it come out, and a hostile one takes no time."""

from __future__ import annotations

import struct

import pytest

from telltale.mail.letter import read_letter
from telltale.mail.tnef import SIGNATURE, files_in


def attribute(level: int, identity: int, data: bytes) -> bytes:
    return struct.pack("<BHHI", level, identity, 6, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def prop(identity: int, kind: int, value: bytes) -> bytes:
    padding = b"\0" * (-len(value) % 4)
    return struct.pack("<HHII", kind, identity, 1, len(value)) + value + padding


def properties(*props: bytes) -> bytes:
    return struct.pack("<I", len(props)) + b"".join(props)


def file(title: str, octets: bytes, *props: bytes) -> bytes:
    named = attribute(2, 0x9005, properties(*props)) if props else b""
    return (
        attribute(2, 0x9002, b"\0" * 14)
        + attribute(2, 0x8010, title.encode("cp1252") + b"\0")
        + attribute(2, 0x800F, octets)
        + named
    )


def winmail(*files: bytes) -> bytes:
    return SIGNATURE + b"\x01\x00" + attribute(1, 0x9006, b"\0\0\1\0") + b"".join(files)


LONG_NAME = prop(0x3707, 0x1F, "Angebot für Grüße.pdf\0".encode("utf-16-le"))
MEDIA_TYPE = prop(0x370E, 0x1E, b"application/pdf\0")
A_NUMBER = struct.pack("<HHI", 0x0003, 0x0E20, 5)
NAMED = struct.pack("<HH", 0x0003, 0x8000) + b"g" * 16 + struct.pack("<III", 0, 7, 1)


def test_the_files_come_out_with_their_long_names_and_types():
    octets = winmail(
        file("ANGEBO~1.PDF", b"%PDF", A_NUMBER, NAMED, LONG_NAME, MEDIA_TYPE), file("b.txt", b"two")
    )

    first, second = files_in(octets)
    assert (first.name, first.media_type, first.octets) == (
        "Angebot für Grüße.pdf",
        "application/pdf",
        b"%PDF",
    )
    assert (second.name, second.octets) == ("b.txt", b"two")


def mail(content_type: str, octets: bytes) -> bytes:
    from base64 import encodebytes

    return (
        (
            'From: ana@oldworks.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
            "--b\r\nContent-Type: text/plain\r\n\r\nsee the offer\r\n"
            f"--b\r\nContent-Type: {content_type}; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        ).encode()
        + encodebytes(octets)
        + b"--b--\r\n"
    )


@pytest.mark.parametrize("content_type", ["application/ms-tnef", "application/octet-stream"])
def test_in_a_letter_they_stand_in_place_of_the_winmail(content_type):
    letter = read_letter(mail(content_type, winmail(file("../../a.pdf", b"%PDF"))))

    assert [(one.name, one.content_type, one.octets) for one in letter.files] == [
        ("a.pdf", "application/pdf", b"%PDF")
    ]


@pytest.mark.parametrize("octets", [b"", b"no tnef", winmail(), SIGNATURE, winmail(file("a", b"x"))[:40]])
def test_what_holds_no_file_stays_the_file_that_it_is(octets):
    assert files_in(octets) == []
    letter = read_letter(mail("application/ms-tnef", octets))
    assert [one.name for one in letter.files] == ["winmail.dat"]


ENDLESS_COUNT = struct.pack("<IHHII", 2**32 - 1, 0x1F, 1, 2**32 - 1, 2**32 - 1)
CUT_NAME = struct.pack("<IHH", 9, 0x101F, 0x8001) + b"\xff" * 40


@pytest.mark.parametrize(
    "octets",
    [
        winmail(*[attribute(2, 0x9002, b"")] * 200_000),
        winmail(*[attribute(1, 0x9003, b"")] * 500_000),
        winmail(file("a", b"x", *[A_NUMBER] * 100_000)),
        winmail(attribute(2, 0x9002, b"") + attribute(2, 0x9005, ENDLESS_COUNT)),
        winmail(attribute(2, 0x9002, b"") + attribute(2, 0x9005, CUT_NAME)),
        SIGNATURE + b"\x01\x00" + struct.pack("<BHHI", 2, 0x9002, 6, 2**32 - 1),
        SIGNATURE + b"\xff" * 1_000_000,
        b"".join(winmail(file("a", b"x")) for _ in range(50_000)),
    ],
)
def test_a_hostile_one_takes_no_time(octets, every_reading_ends):
    assert len(files_in(octets)) <= 100
