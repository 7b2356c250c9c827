"""What changes agents: each verb is one transaction."""

from __future__ import annotations

from django.db import connection, transaction

from telltale.accounts.models import Agent

_FIRST_ADMIN = 7_201_001  # any number: the key of an advisory lock that only this verb takes


@transaction.atomic
def create_first_admin(*, name: str, email: str, password: str, time_zone: str) -> Agent | None:
    """The first admin of a new desk; None where somebody was quicker, since only one stranger may do this."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_FIRST_ADMIN])
    if Agent.objects.exists():
        return None
    return Agent.objects.create_user(email, password, name=name, time_zone=time_zone, is_admin=True)
