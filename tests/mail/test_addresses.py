"""Addresses as others write them, and what servers on the way made of them."""

from __future__ import annotations

import pytest

from telltale.mail.addresses import address_of, addresses_in, is_address, original_of, same


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("To: Ana <ana@lamp.example>, bob@lamp.example", ["ana@lamp.example", "bob@lamp.example"]),
        ("<mailto:ana@lamp.example>.", ["ana@lamp.example"]),
        ("'ana@lamp.example'", ["ana@lamp.example"]),
        ("o'brien@lamp.example", ["o'brien@lamp.example"]),
        ('"ana berg"@lamp.example', ['"ana berg"@lamp.example']),
        ("jürgen@bücher.example", ["jürgen@bücher.example"]),
        ("ana@lamp.vermögensberater", ["ana@lamp.vermögensberater"]),
        ("收件人 ana@lamp.example的邮箱不存在", ["ana@lamp.example"]),
        ("ana@灯.例子", ["ana@灯.例子"]),
        ("write to ana@lamp.example. Thanks", ["ana@lamp.example"]),
        ("ana@[192.0.2.1]", ["ana@[192.0.2.1]"]),
        ("*ana@lamp.example*", ["ana@lamp.example"]),
        ("*@lamp.example", ["*@lamp.example"]),
        ("no address at all, not @ home", []),
        ("a@b@c.example", []),
    ],
)
def test_addresses_are_found_in_text(text, found):
    assert list(addresses_in(text)) == found


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("ana@lamp.example", True),
        ('"a..b"@lamp.example', True),
        ("ana", False),
        ("@lamp.example", False),
        ("|/bin/x ana@lamp.example", False),
        ("a@" + "b" * 400 + ".example", False),
    ],
)
def test_an_address_is_that_and_nothing_else(address, is_one):
    assert is_address(address) is is_one


@pytest.mark.parametrize(
    ("rewritten", "original"),
    [
        ("prvs=0123abcdef=ana@lamp.example", "ana@lamp.example"),
        ("msprvs1=17abcDEF=ana@lamp.example", "ana@lamp.example"),
        ("prvs=ana/0123456789@lamp.example", "ana@lamp.example"),
        ("SRS0=Ab=C1=lamp.example=ana@forwarder.example", "ana@lamp.example"),
        ("SRS0+Ab=C1=lamp.example=ana@forwarder.example", "ana@lamp.example"),
        ("SRS1=Ab=one.example==Xy=C1=lamp.example=ana@two.example", "ana@lamp.example"),
        ("bounces+ana=lamp.example@list.example", "ana@lamp.example"),
        ("news-return-17-ana=lamp.example@list.example", "ana@lamp.example"),
        ("ana+tag@lamp.example", "ana+tag@lamp.example"),
        ("a=b@lamp.example", "a=b@lamp.example"),
        ("SRS0=broken@forwarder.example", "SRS0=broken@forwarder.example"),
    ],
)
def test_what_a_server_made_of_an_address_is_undone(rewritten, original):
    assert original_of(rewritten) == original


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; ana@lamp.example", "ana@lamp.example"),
        (r"utf-8; j\x{FC}rgen@lamp.example", "jürgen@lamp.example"),
        ("unknown; <ana@lamp.example>", "ana@lamp.example"),
        ("", ""),
        ("rfc822;", ""),
    ],
)
def test_a_typed_address_is_read(value, address):
    assert address_of(value) == address


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("Ana@Lamp.example", "<ana@lamp.example>", True),
        ("ana@bücher.example", "ana@xn--bcher-kva.example", True),
        ("ana@lamp.example", "bob@lamp.example", False),
    ],
)
def test_two_spellings_of_an_address_are_known_as_one(one, other, are_same):
    assert same(one, other) is are_same
