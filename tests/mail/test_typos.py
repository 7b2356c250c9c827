"""Did you mean gmail.com? Only where it is near enough to be a slip."""

from __future__ import annotations

import pytest

from telltale.mail.typos import WELL_KNOWN, suggest_domain


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gmial.com", "gmail.com"),  # two letters swapped
        ("gmal.com", "gmail.com"),  # one left out
        ("gmaill.com", "gmail.com"),  # one too many
        ("gnail.com", "gmail.com"),  # the key beside it
        ("hotmial.com", "hotmail.com"),
        ("outlok.com", "outlook.com"),
        ("gogglemial.com", "googlemail.com"),  # a long name may have two
        ("gmail.con", "gmail.com"),
        ("gmail.cmo", "gmail.com"),
        ("gmail.cm", "gmail.com"),
        ("GMIAL.COM", "gmail.com"),
        ("yaho.co.uk", "yahoo.co.uk"),
    ],
)
def test_a_slip_is_put_right(typed, meant):
    assert suggest_domain(f"Anna@{typed}") == f"Anna@{meant}"


@pytest.mark.parametrize(
    "domain",
    [
        "gmail.com",
        "mail.com",  # a provider of its own, one letter from gmail.com
        "ymail.com",
        "gmx.net",
        "hotmail.be",  # no slip of hotmail.de: the end is another country
        "yahoo.in",
        "he.com",  # short names have honest neighbours: me.com
        "wbe.de",
        "gmagl.example",
        "lamp.example",
        "gamail.org",
        "",
    ],
)
def test_what_may_be_right_is_left_alone(domain):
    assert suggest_domain(f"anna@{domain}") == ""


@pytest.mark.parametrize("domain", sorted(WELL_KNOWN))
def test_a_well_known_domain_is_never_corrected(domain):
    assert suggest_domain(f"anna@{domain}") == ""


def test_domains_that_the_desk_knows_count_too():
    assert suggest_domain("anna@oldwroks.example", also=["oldworks.example"]) == "anna@oldworks.example"
    assert suggest_domain("anna@gmial.example", also=["gmial.example"]) == ""


@pytest.mark.parametrize("address", ["", "anna", "@gmial.com"])
def test_what_is_no_address_is_left_alone(address):
    assert suggest_domain(address) == ""
