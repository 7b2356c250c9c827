"""The words that the engine looks for: with them, the fuzzer need not guess them letter by letter."""

from __future__ import annotations

from collections.abc import Iterator

from telltale.bounce import knowledge
from telltale.bounce.dialects import DIALECTS

LONGEST = 60  # octets; libFuzzer takes 64
STRUCTURE = (
    *(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=B\n",
        "Content-Type: text/html\n",
    ),
    *(
        "\n--B\n",
        "\n--B--\n",
        "Content-Type: message/delivery-status\n\n",
        "Content-Type: message/rfc822\n\n",
    ),
    *(
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "; charset=utf-7",
    ),
    *("; charset=iso-2022-jp", "; charset=utf-16", "=?utf-8?q?=41?=", "=?utf-7?b?KzJBQS0?=", "\n\n", "\r\n"),
    *("From: MAILER-DAEMON@lamp.example\n", "Return-Path: <>\n", "Subject: Undelivered Mail\n"),
    *("Final-Recipient: rfc822; ana@lamp.example\n", "Original-Recipient: rfc822;", "Action: failed\n"),
    *("Status: 5.1.1\n", "Diagnostic-Code: smtp; 550 5.1.1 ", "Remote-MTA: dns; mx.lamp.example\n"),
    *("Last-Attempt-Date: Mon, 2 Nov 2026 10:00:00 +0100\n", "Reporting-MTA: dns; mx.lamp.example\n\n"),
    *("X-Failed-Recipients: ana@lamp.example\n", "Content-Type: message/feedback-report\n\n"),
    *("<ana@lamp.example>", "<ana@lamp.example>:\n", "host mx.lamp.example[192.0.2.1] said: 550 ", "\\x{e9}"),
    *(">>> RCPT TO:<ana@lamp.example>\n", "<<< 550 5.1.1 ", "(in reply to RCPT TO command)", "&#xD800;"),
    *("could not be delivered", "has not yet been delivered", "permanent error", "退信", "не доставлено"),
    *('{"notificationType":"Bounce","bounce":{"bouncedRecipients":[', '"emailAddress":"\\ud800"'),
    *("prvs=1234abcdef=ana", "SRS0=abcd=xy=lamp.example=ana", "ana=lamp.example", "+2B"),
)
REPLIES = (
    "550 5.1.1 ",
    "550-",
    "421 4.7.0 ",
    "452 ",
    "try again in 5 minutes",
    "https://",
    "\\xe9",
    "smtp; ",
)


def dictionary(target: str) -> bytes:
    """The words for this target, as libFuzzer's option -dict reads them."""
    found = dict.fromkeys(_of_replies() if target == "reply" else _of_mails())
    return b"".join(_entry(word.encode()) for word in found if 1 < len(word.encode()) <= LONGEST)


def _of_mails() -> Iterator[str]:
    yield from STRUCTURE
    for dialect in DIALECTS:
        yield from dialect.signs


def _of_replies() -> Iterator[str]:
    yield from REPLIES
    yield from knowledge.words()["whole"]
    yield from knowledge.words()["phrases"]


def _entry(word: bytes) -> bytes:
    return b'"' + b"".join(b"\\x%02x" % octet for octet in word) + b'"\n'
