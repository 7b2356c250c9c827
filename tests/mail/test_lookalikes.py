"""Addresses that are made to be mistaken for others are told apart from honest ones in other scripts."""

from __future__ import annotations

import pytest

from telltale.mail.lookalikes import warning


@pytest.mark.parametrize(
    "address",
    [
        "ana@oldworks.example",
        "anä@müller.example",
        "анна@почта.рф",
        "ana@привет.example",
        "田中@日本.example",
        "tanaka@nihonソフト.example",
        "yorgos@ελλάδα.gr",
        "ana@עברית.example",
        "",
        "@",
    ],
)
def test_honest_addresses_are_left_alone(address):
    assert warning(address) == ""


@pytest.mark.parametrize(
    ("address", "in_dns"),
    [
        ("ana@оldworks.example", "xn--ldworks-8ig.example"),  # a Cyrillic o
        ("ana@расе.example", "xn--80ak5af.example"),  # Cyrillic all through
        ("ana@gοogle.example", "xn--gogle-rce.example"),  # one Greek o
    ],
)
def test_a_domain_that_copies_another_is_told_with_its_form_in_dns(address, in_dns):
    assert (
        warning(address) == f"This address has letters that look like others. In DNS its domain is {in_dns}."
    )


def test_a_name_that_copies_another_is_told():
    assert warning("аna@oldworks.example") == "This address has letters that look like others."
