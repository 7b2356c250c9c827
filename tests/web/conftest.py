"""The pages need their static files, as a started desk has them."""

from __future__ import annotations

import pytest
from django.core.management import call_command


@pytest.fixture(scope="session", autouse=True)
def static_files(django_db_modify_db_settings) -> None:
    call_command("collectstatic", interactive=False, verbosity=0)
