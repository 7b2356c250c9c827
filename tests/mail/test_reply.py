"""SmtpReply: every line as it stood on the wire. RFC 5321 section 4.2, RFC 2034 section 4."""

from __future__ import annotations

import pytest

from telltale.mail.reply import SmtpReply
from telltale.mail.status import EnhancedStatus


def test_all_lines_with_their_codes_are_kept():
    reply = SmtpReply.from_wire(b"550-5.1.1 No such user here.\r\n550 5.1.1 Please check the address.\r\n")

    assert reply.code == 550
    assert str(reply) == "550-5.1.1 No such user here.\n550 5.1.1 Please check the address."
    assert reply.text == "5.1.1 No such user here.\n5.1.1 Please check the address."


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"550 5.1.1\r\n", EnhancedStatus(5, 1, 1)),  # a code without text
        (b"450 5.1.1 contradicts itself\r\n", None),  # RFC 2034 section 4: ignore it
        (b"550 bo\xeete inconnue\r\n", None),  # Latin-1 on the wire
        (b"550 1.2.3.4 is listed\r\n", None),  # an IP address is no status
        (b"550-5.7.1 first line only\r\n550 and then none\r\n", EnhancedStatus(5, 7, 1)),
        (b"421 4.7.28 slow down\r\n", EnhancedStatus(4, 7, 28)),
    ],
)
def test_the_enhanced_status_is_what_the_server_said(wire: bytes, status: EnhancedStatus | None):
    assert SmtpReply.from_wire(wire).enhanced_status == status


def test_octets_that_are_no_utf8_stand_as_escapes():
    assert str(SmtpReply.from_wire(b"550 bo\xeete inconnue\r\n")) == r"550 bo\xeete inconnue"


@pytest.mark.parametrize("wire", [b"", b"hello\r\n", b"99 short\r\n", b"999 no class\r\n", b"5", b"25\r\n"])
def test_what_is_no_reply_is_refused(wire: bytes):
    with pytest.raises(ValueError, match="three digits"):
        SmtpReply.from_wire(wire)
