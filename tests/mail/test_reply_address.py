"""The signed reply address: which conversation an answer belongs to."""

from __future__ import annotations

import pytest

from telltale.mail.reply_address import ReplyAddress, sign, verify
from telltale.mail.signing import Fault

KEY, EARLIER = b"k" * 32, b"e" * 32


def address(conversation_id: int = 4711, key: bytes = KEY) -> str:
    return sign(conversation_id, mailbox="support@lamp.example", key=key)


@pytest.mark.parametrize("conversation_id", [1, 36, 4711, 2**63 - 1])
def test_what_was_signed_is_recognised(conversation_id: int):
    found = verify(address(conversation_id), keys=[KEY])

    assert found == ReplyAddress("support@lamp.example", conversation_id)


def test_a_mailbox_that_has_a_plus_in_its_address_keeps_it():
    signed = sign(5, mailbox="support+eu@lamp.example", key=KEY)

    assert verify(signed, keys=[KEY]) == ReplyAddress("support+eu@lamp.example", 5)


def test_a_server_that_changes_the_case_does_no_harm():
    assert verify(address().upper(), keys=[KEY]) == ReplyAddress("SUPPORT@LAMP.EXAMPLE", 4711)


def test_an_earlier_key_still_holds():
    assert isinstance(verify(address(key=EARLIER), keys=[KEY, EARLIER]), ReplyAddress)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (lambda a: a.replace("c-", "d-", 1), Fault.NOT_OURS),
        (lambda a: "support@lamp.example", Fault.NOT_OURS),
        (lambda a: "support+news@lamp.example", Fault.NOT_OURS),
        (lambda a: "+" + a.partition("+")[2], Fault.NOT_OURS),
        (lambda a: "", Fault.NOT_OURS),
        (lambda a: "support+c-1-é@lamp.example", Fault.FORGED),
        (lambda a: a.replace(a.split("-")[1], "zz9", 1), Fault.FORGED),  # another conversation
        (lambda a: a.replace("support", "sales", 1), Fault.FORGED),  # another mailbox
        (lambda a: a.replace("lamp", "evil", 1), Fault.FORGED),
    ],
)
def test_a_changed_address_proves_nothing(changed, fault: Fault):
    assert verify(changed(address()), keys=[KEY]) == fault


def test_a_local_part_that_would_get_longer_than_64_octets_gets_no_tag():
    assert sign(2**63 - 1, mailbox=f"{'s' * 40}@lamp.example", key=KEY) == ""
    assert sign(1, mailbox=f"{'s' * 40}@lamp.example", key=KEY)
