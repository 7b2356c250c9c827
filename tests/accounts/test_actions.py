"""The first admin of a new desk, and who an agent is."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from telltale.accounts.actions import create_first_admin
from telltale.accounts.models import Agent

PASSWORD = "correct horse battery"


def first_admin(name: str = "Maya") -> Agent | None:
    return create_first_admin(
        name=name, email=f"{name.lower()}@lamp.example", password=PASSWORD, time_zone="Europe/Lisbon"
    )


def test_the_first_admin_is_one_and_can_sign_in(db):
    admin = first_admin()

    assert admin is not None
    assert admin.is_admin
    assert authenticate(username="MAYA@lamp.example", password=PASSWORD) == admin
    assert authenticate(username="maya@lamp.example", password="wrong") is None


def test_a_stranger_who_comes_later_becomes_nobody(agent):
    assert first_admin("Eve") is None
    assert Agent.objects.get() == agent


@pytest.mark.django_db(transaction=True)
def test_of_two_strangers_at_the_same_time_one_becomes_admin():
    together = threading.Barrier(2)
    made: list[Agent | None] = []

    def come(name: str) -> None:
        together.wait()
        made.append(first_admin(name))
        connection.close()

    strangers = [threading.Thread(target=come, args=[name]) for name in ("Maya", "Eve")]
    for stranger in strangers:
        stranger.start()
    for stranger in strangers:
        stranger.join()

    assert made.count(None) == 1
    assert Agent.objects.count() == 1


def test_no_two_agents_share_an_address_whatever_its_case(agent):
    with pytest.raises(IntegrityError), transaction.atomic():
        Agent.objects.create_user("MAYA@Lamp.example", None, name="Another")


def test_an_agent_who_has_left_cannot_sign_in(db):
    admin = first_admin()
    Agent.objects.update(is_active=False)

    assert admin is not None
    assert authenticate(username=admin.email, password=PASSWORD) is None


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../../etc/passwd", "Europe/Berlin\0"])
def test_a_time_zone_that_does_not_exist_is_refused(db, name):
    with pytest.raises(ValidationError, match="is no time zone"):
        Agent(email="a@lamp.example", name="A", time_zone=name).clean_fields(exclude=["password"])
