"""Links that sign somebody in: once, for a while, and only whom they were made for."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import update_last_login
from django.contrib.auth.tokens import default_token_generator
from django.db import connection
from django.urls import resolve

from telltale.accounts.links import SignInTokenGenerator, agent_behind, sign_in_path
from telltale.accounts.models import Agent


def parts_of(path: str) -> tuple[int, str]:
    found = resolve(path).kwargs
    return found["pk"], found["token"]


def follow(path: str) -> Agent | None:
    return agent_behind(*parts_of(path))


def test_a_link_leads_to_its_agent(agent):
    assert follow(sign_in_path(agent)) == agent


def test_a_link_works_once(agent):
    path = sign_in_path(agent)

    assert follow(path) == agent
    assert follow(path) is None


def test_it_works_once_even_in_the_second_of_an_earlier_sign_in(agent):
    update_last_login(None, agent)
    path = sign_in_path(agent)

    assert follow(path) == agent
    assert follow(path) is None


def test_the_use_of_one_link_ends_all_that_were_made_before(agent):
    first, second = sign_in_path(agent), sign_in_path(agent)

    assert follow(second) == agent
    assert follow(first) is None


def test_a_sign_in_by_password_ends_a_link(agent):
    path = sign_in_path(agent)

    update_last_login(None, agent)

    assert follow(path) is None


@pytest.mark.parametrize(
    "change", [{"password": "pbkdf2$new"}, {"email": "new@lamp.example"}, {"is_active": False}]
)
def test_a_link_ends_when_the_agent_changes(agent, change):
    path = sign_in_path(agent)

    Agent.objects.filter(pk=agent.pk).update(**change)

    assert follow(path) is None


@pytest.mark.parametrize(
    ("age", "holds"), [(timedelta(seconds=3599), True), (timedelta(seconds=3601), False)]
)
def test_a_link_ends_with_its_time(agent, settings, monkeypatch, age, holds):
    settings.PASSWORD_RESET_TIMEOUT = 3600
    path = sign_in_path(agent)
    later = datetime.now() + age  # noqa: DTZ005  (Django counts these seconds in local time)

    monkeypatch.setattr(SignInTokenGenerator, "_now", lambda self: later)

    assert (follow(path) == agent) is holds


def test_a_link_of_another_purpose_is_none(agent):
    assert agent_behind(agent.pk, default_token_generator.make_token(agent)) is None


def test_a_link_for_one_agent_does_not_sign_another_in(agent, colleague):
    _, token = parts_of(sign_in_path(agent))

    assert agent_behind(colleague.pk, token) is None


def test_a_link_that_was_changed_in_any_letter_is_none(agent):
    pk, token = parts_of(sign_in_path(agent))

    for place, letter in enumerate(token):
        changed = token[:place] + ("a" if letter != "a" else "b") + token[place + 1 :]
        assert agent_behind(pk, changed) is None


@pytest.mark.parametrize("token", ["", "-", "x", "0-0", "é-é", "a" * 1000, "zzzzzzzzzzzzzzzz-00"])
def test_what_was_never_a_link_is_none(agent, token):
    assert agent_behind(agent.pk, token) is None


def test_nobody_is_behind_an_id_that_does_not_exist(agent):
    _, token = parts_of(sign_in_path(agent))

    assert agent_behind(agent.pk + 1, token) is None
    assert agent_behind(10**30, token) is None


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_the_same_time_one_signs_in(agent):
    pk, token = parts_of(sign_in_path(agent))
    together = threading.Barrier(2)
    found: list[Agent | None] = []

    def click() -> None:
        together.wait()
        found.append(agent_behind(pk, token))
        connection.close()

    clicks = [threading.Thread(target=click) for _ in range(2)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()

    assert sorted(found, key=bool) == [None, agent]
