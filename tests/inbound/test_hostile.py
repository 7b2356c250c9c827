"""Mails that are built to hurt, from the store to the conversation: read in bounded time and memory, kept whole.

What each part does with the like of them stands in its own tests, and what pages show of them in tests/web.
"""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from telltale.conversations.models import Attachment, Conversation, Part, RawMail
from telltale.inbound import reading
from telltale.inbound.store import keep
from tests.inbound.mails import MAILBOX, letter

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("every_reading_ends")]
MOST_MEMORY = 40  # times the size of the mail, and never less than 64 MB
HEAD = b"From: Eve <eve@evil.example>\r\nTo: support@lamp.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"


def nested(depth: int) -> bytes:
    opening = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(depth)
    )
    return HEAD + opening + b"Content-Type: text/plain\r\n\r\ndeep\r\n"


def enclosed(depth: int) -> bytes:
    return HEAD + b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: deep\r\n\r\nx\r\n"


def parts(count: int) -> bytes:
    return (
        HEAD
        + b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        + b"--b\r\n\r\nx\r\n" * count
        + b"--b--\r\n"
    )


def zip_bomb() -> bytes:
    from base64 import encodebytes

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * 50_000_000)
    return (
        HEAD
        + b'Content-Type: application/zip; name="a.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + encodebytes(packed.getvalue())
    )


HOSTILE: dict[str, Callable[[], bytes]] = {
    "multiparts within multiparts": lambda: nested(5_000),
    "mails within mails": lambda: enclosed(5_000),
    "a hundred thousand parts": lambda: parts(100_000),
    "a header of five megabytes": lambda: HEAD + b"X-Long: " + b"x" * 5_000_000 + b"\r\n\r\nx\r\n",
    "a hundred thousand header fields": lambda: HEAD + b"X-A: b\r\n" * 100_000 + b"\r\nx\r\n",
    "a subject of a megabyte in encoded words": lambda: (
        b"From: eve@evil.example\r\nSubject: " + b"=?utf-8?q?=C3=A4?= " * 60_000 + b"\r\n\r\nx\r\n"
    ),
    "ten thousand recipients": lambda: HEAD + b"Cc: " + b"a@evil.example, " * 10_000 + b"\r\n\r\nx\r\n",
    "a line of twenty megabytes": lambda: HEAD + b"\r\n" + b"y" * 20_000_000 + b"\r\n",
    "octets that are no UTF-8, everywhere": lambda: (
        b"From: \xff\xfe <eve@evil.example>\r\nSubject: \xff\xfe\r\nMessage-ID: <\xff@x>\r\nReferences: <\xfe@y>\r\n"
        b"Content-Type: text/plain; charset=\xff; name=\xfe\r\n\r\n\xff\xfe\x00\r\n"
    ),
    "a header in a display name": lambda: letter(sender='"Eve\r\n Bcc: all@lamp.example" <eve@evil.example>'),
    "NULs": lambda: HEAD.replace(b"x", b"\0") + b"\r\n\0\0\0\r\n",
    "a zip bomb": zip_bomb,
    "base64 of nothing": lambda: HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 1_000_000,
    "uuencode without end": lambda: (
        HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n" + b"M" * 1_000_000
    ),
    "utf-7": lambda: (
        HEAD + b"Content-Type: text/plain; charset=utf-7\r\n\r\n+ADw-script+AD4-alert(1)+ADw-/script+AD4-\r\n"
    ),
    "html without end": lambda: HEAD + b"Content-Type: text/html\r\n\r\n" + b"<div><b>" * 200_000,
    "html comments": lambda: HEAD + b"Content-Type: text/html\r\n\r\n" + b"<!--<b>" * 200_000,
    "a boundary like all lines": lambda: (
        HEAD + b'Content-Type: multipart/mixed; boundary=""\r\n\r\n' + b"--\r\n" * 100_000
    ),
    "a report on fifty thousand recipients": lambda: (
        HEAD.replace(b"eve@", b"mailer-daemon@")
        + b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n'
        + b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
        + b"Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n" * 50_000
        + b"--b--\r\n"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_read_in_bounded_time_and_memory_and_kept_whole(name, mailbox):
    content = HOSTILE[name]()
    mail = keep(content, door="smtp", mail_from="eve@evil.example", rcpt_to=MAILBOX, peer="198.51.100.7")

    tracemalloc.start()
    assert reading.read_next()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    mail.refresh_from_db()
    assert mail.fate in (RawMail.Fate.MESSAGE, RawMail.Fate.QUARANTINED), mail.fate_reason
    assert most < max(MOST_MEMORY * len(content), 64_000_000), f"{most:,} octets for {len(content):,}"
    with mail.content.open("rb") as file:
        assert file.read() == content
    assert Attachment.objects.count() <= 100
    for part in Part.objects.all():
        assert "\r" not in part.from_address + str(part.contact)
        assert len(part.body) <= 500_000
    assert Conversation.objects.count() <= 1
