"""What reading the words of the standards keeps, whatever comes in. The properties and the fuzzer hold it to that."""

from __future__ import annotations

from telltale.mail import addresses
from telltale.mail.decoding import text_of, transfer_decoded, words_decoded
from telltale.mail.markup import text_of_html
from telltale.mail.reply import SmtpReply


def words_read(octets: bytes) -> None:
    """Takes the octets for a field, for HTML and for an encoded text; each gives a text that can be stored."""
    text = octets.decode("utf-8", "backslashreplace")
    words_decoded(text).encode("utf-8")
    text_of_html(text).encode("utf-8")
    charset = text.partition("\n")[0]
    for encoding in ("base64", "quoted-printable", "8bit"):
        text_of(transfer_decoded(octets, encoding), charset).encode("utf-8")


def address_read(text: str) -> None:
    """Takes the text for a field with an address, and for one with many."""
    address = addresses.address_of(text)
    original = addresses.original_of(address)
    address.encode("utf-8")
    assert len(address) <= addresses.LONGEST_FIELD
    assert addresses.same(address, address)
    assert addresses.same(address, original) == addresses.same(original, address)
    assert not addresses.is_address(address) or "@" in address
    found = list(addresses.addresses_in(text))
    assert len(found) <= addresses.MOST_ADDRESSES
    assert all(one in text and not one.startswith("@") for one in found)


def reply_read(octets: bytes) -> SmtpReply | None:
    """Takes the octets for the reply of a server; None where they are none."""
    try:
        reply = SmtpReply.from_wire(octets)
    except ValueError:  # how it says so
        return None
    assert 200 <= reply.code <= 599
    assert reply.text.encode("utf-8") is not None
    assert str(reply).count("\n") >= len(reply.lines) - 1
    assert reply.enhanced_status is None or reply.enhanced_status.class_ == reply.code // 100
    return reply
