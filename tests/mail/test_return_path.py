"""The signed return path: proof of which delivery a bounce is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from telltale.mail.return_path import LIFETIME, ReturnPath, sign, verify
from telltale.mail.signing import Fault

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY, EARLIER = b"k" * 32, b"e" * 32


def address(delivery_id: int = 4711, key: bytes = KEY) -> str:
    return sign(delivery_id, domain="desk.example", key=key, now=NOW)


@pytest.mark.parametrize("delivery_id", [1, 35, 36, 4711, 2**63 - 1])
def test_what_was_signed_is_recognised(delivery_id: int):
    proof = verify(address(delivery_id), keys=[KEY], now=NOW)

    assert isinstance(proof, ReturnPath)
    assert proof.delivery_id == delivery_id


def test_the_local_part_fits_in_64_octets_for_the_largest_id():
    assert len(address(2**63 - 1).partition("@")[0]) <= 64


def test_a_server_that_changes_the_case_does_no_harm():
    assert isinstance(verify(address().upper(), keys=[KEY], now=NOW), ReturnPath)


def test_an_earlier_key_still_holds():
    assert isinstance(verify(address(key=EARLIER), keys=[KEY, EARLIER], now=NOW), ReturnPath)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (lambda a: a.replace("b-", "c-", 1), Fault.NOT_OURS),
        (lambda a: "anna@desk.example", Fault.NOT_OURS),
        (lambda a: "", Fault.NOT_OURS),
        (lambda a: "b-1-2-é@desk.example", Fault.FORGED),
        (lambda a: a.replace(a.split("-")[1], "zz9", 1), Fault.FORGED),  # another delivery
        (lambda a: a.replace(a.split("-")[2], "zz9", 1), Fault.FORGED),  # another day
    ],
)
def test_a_changed_address_proves_nothing(changed, fault: Fault):
    assert verify(changed(address()), keys=[KEY], now=NOW) == fault


def test_it_expires():
    assert verify(address(), keys=[KEY], now=NOW + LIFETIME + timedelta(days=1)) == Fault.EXPIRED
