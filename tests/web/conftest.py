"""The pages need their static files, as a started desk has them."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.test import Client

from telltale.accounts.models import Agent


@pytest.fixture(scope="session", autouse=True)
def static_files(django_db_modify_db_settings) -> None:
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture
def desk(client: Client, agent: Agent) -> Client:
    """The browser of an agent who has signed in."""
    client.force_login(agent)
    return client
