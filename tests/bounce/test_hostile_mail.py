"""Whatever a stranger sends is read to its end, and nothing of it raises.

How long that takes is measured by bench/linear.py. Here a reading that would not end is broken off, so that it fails.
"""

from __future__ import annotations

import random

import pytest

from telltale.bounce import Kind, read
from tests.bounce.letters import LETTERS
from tests.bounce.test_read import recipient, report

pytestmark = pytest.mark.usefixtures("every_reading_ends")

SIZE = 400_000  # octets; what grows faster than the mail would take minutes
FROM_A_SERVER = b"From: MAILER-DAEMON@x.example\nReturn-Path: <>\nSubject: Undelivered Mail\n"
SEEDS = range(40)
PIECES = [
    *(
        b"\n",
        b"\n\n",
        b"\r",
        b"\0",
        b"--B\n",
        b"<",
        b">",
        b"@",
        b":",
        b";",
        b'"',
        b"\\",
        b"=",
        b"{",
        b"[",
        b"\xff\xfe",
    ),
    *(
        b"Content-Type: multipart/mixed; boundary=x\n",
        b"Content-Transfer-Encoding: base64\n",
        b"charset=punycode",
    ),
    *(
        b"(" * 50,
        b" " * 500,
        b"550 " * 40,
        b"host a[b] said: ",
        b"a@b.example\n" * 30,
        b">>> RCPT TO:<a@b.c>\n<<< 550 x\n",
    ),
]


def filled(start: bytes, piece: bytes) -> bytes:
    return start + piece * (SIZE // len(piece))


def text(piece: bytes, *, start: bytes = b"", kind: bytes = b"text/plain") -> bytes:
    header = FROM_A_SERVER + b"Content-Type: " + kind + b"\n\nYour mail could not be delivered to:\n\n"
    return filled(header + start, piece)


def status(piece: bytes, *, start: bytes = b"") -> bytes:
    return filled(report("Final-Recipient: rfc822; a@b.example\n").removesuffix(b"--B--\n") + start, piece)


NASTY = {
    "addresses": text(b"a@b.example\n"),
    "at signs": text(b"a@"),
    "brackets": text(b"<a@b.example ("),
    "quotes": text(b'"a" '),
    "spaces": text(b" ", start=b"<a@b.example>:"),
    "empty lines": text(b" \n"),
    "replies": text(b"550 ", start=b"<a@b.example>:\n"),
    "introductions": text(b"host a[b] said: ", start=b"<a@b.example>:\n"),
    "hosts": text(b"a.b.c.", start=b"<a@b.example>:\n"),
    "transcripts": text(b">>> RCPT TO:<a@b.c>\n<<< 550 x\n", start=b"Transcript of session follows\n"),
    "phrases": text(b"could not be delivered\n"),
    "headers below": text(b"Received: x\n"),
    "separators": text(b"--- original message x\n"),
    "tags": text(b'<a href="x', kind=b"text/html"),
    "scripts": text(b"<script>", kind=b"text/html"),
    "entities": text(b"&#9", kind=b"text/html"),
    "recipients": status(b"Final-Recipient: rfc822; a@b.example\nAction: failed\n\n"),
    "lines of a diagnostic": status(b"x\n", start=b"Diagnostic-Code: smtp; "),
    "source routes": status(b"@a.example,", start=b"Final-Recipient: rfc822;"),
    "encoded words": filled(b"Subject: ", b"=?utf-8?q?a?= "),
    "half encoded words": filled(b"Subject: ", b"=?utf-8?q?"),
    "fields": filled(b"", b"A: b\n"),
    "folds": filled(b"A: b\n", b" x\n"),
    "comments": filled(b"To: ", b"("),
    "recipients of ours": filled(b"To: ", b"<a@b.example>, "),
    "references": filled(b"References: ", b"<a@b> "),
    "parameters": filled(b"Content-Type: multipart/mixed", b'; a="'),
    "parts": filled(b"Content-Type: multipart/mixed; boundary=B\n\n", b"--B\n\n"),
    "almost delimiters": filled(b"Content-Type: multipart/mixed; boundary=B\n\n", b"--Bx\n"),
    "nested parts": filled(
        b"Content-Type: multipart/mixed; boundary=B\n\n",
        b"--B\nContent-Type: multipart/mixed; boundary=B\n\n",
    ),
    "deep parts": b"Content-Type: multipart/mixed; boundary=0\n\n"
    + b"".join(b"--%d\nContent-Type: multipart/mixed; boundary=%d\n\n" % (n, n + 1) for n in range(8_000)),
    "deep JSON": filled(b"From: a@b.example\n\n", b'{"Message":'),
    "padding": filled(FROM_A_SERVER + b"Content-Transfer-Encoding: base64\n\n", b"="),
    "no letters": filled(b"", b"\0"),
    "carriage returns": filled(b"", b"\r"),
}


@pytest.mark.parametrize("raw", NASTY.values(), ids=NASTY)
def test_a_mail_made_to_keep_us_busy_is_read(raw):
    returned = read(raw)

    assert returned.kind in Kind
    assert len(returned.reports) <= 1000


@pytest.mark.parametrize(
    "charset",
    [
        "punycode",
        "idna",
        "unicode_escape",
        "zlib",
        "rot13",
        "utf-7",
        "hz",
        "utf-16",
        "iso-2022-kr",
        "no such",
        "\xff",
    ],
)
def test_any_charset_is_read_or_escaped(charset):
    raw = text(b"+-~{\x1b$B\xa4\xff a@b.example\n", kind=f"text/plain; charset={charset}".encode("latin-1"))

    assert read(raw).kind is Kind.BOUNCE


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """The mail with some pieces of it cut out, doubled, replaced or strange ones put in."""
    octets = bytearray(raw)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(4):
            case 0:
                octets[at:at] = chance.choice(PIECES) * chance.choice((1, 1, 20))
            case 1:
                del octets[at : at + chance.randint(1, 200)]
            case 2:
                octets[at:at] = octets[chance.randrange(len(octets) + 1) :][:300]
            case 3:
                octets[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(octets)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mail_damaged_at_random_is_read(seed):
    chance = random.Random(seed)
    whole = [letter.octets() for letter in LETTERS] + [report(), report(recipient())]

    for raw in whole:
        returned = read(mutated(raw, chance))

        assert returned.kind in Kind
        assert all(isinstance(one.final_recipient, str) for one in returned.reports)


def test_a_mail_of_many_megabytes_is_read():
    assert read(report().replace(b"Sorry.", b"Sorry.\n" * 2_000_000)).kind is Kind.BOUNCE
