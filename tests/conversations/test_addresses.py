"""Addresses of contacts are found by their index, whatever the case of their letters."""

from __future__ import annotations

import pytest
from django.db import connection

from telltale.conversations.actions import contact_for
from telltale.conversations.models import Address, Contact

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("as_written", ["ANNA@lamp.example", "anna@Lamp.Example", "anna@lamp.example"])
def test_an_address_is_found_in_any_case(as_written):
    anna = contact_for("Anna@lamp.example")
    assert [address.contact for address in Address.objects.with_email(as_written)] == [anna]
    assert contact_for(as_written) == anna


def test_only_that_address_is_found():
    contact_for("anna@lamp.example")
    assert not Address.objects.with_email("a%@lamp.example").exists()


def test_finding_an_address_uses_the_index_that_keeps_it_unique():
    """With as many rows that another way would cost more, and with statistics that say so."""
    contact = Contact.objects.create()
    Address.objects.bulk_create(Address(contact=contact, email=f"a{n}@lamp.example") for n in range(2_000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE conversations_address")

    assert "address_email_once" in Address.objects.with_email("anna@lamp.example").explain()
