"""What a desk needs before its processes start: tables, static files, for a demo its sample conversations.

A process of its own, so that Django's modules are not kept in the supervisor. With --demo, the path of a page
that signs the first admin in is written to standard output.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")

import django
from django.core.management import call_command
from django.db import connection

django.setup()

from telltale.accounts.links import sign_in_path  # noqa: E402  (needs Django to be set up)
from telltale.accounts.models import Agent  # noqa: E402

MIGRATING = 0x7E117A1E  # the advisory lock of desks that start at the same time on one database


def main() -> None:
    _migrate()
    call_command("collectstatic", interactive=False, verbosity=0)
    if "--demo" in sys.argv[1:]:
        call_command("sample_data")
        admin = Agent.objects.filter(is_admin=True, is_active=True).order_by("pk").first()
        print(sign_in_path(admin) if admin else "/")
    connection.close()


def _migrate() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [MIGRATING])
        try:
            call_command("migrate", interactive=False, verbosity=0)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [MIGRATING])


if __name__ == "__main__":
    main()
