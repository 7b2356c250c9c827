"""Django on the desk's database, for a command that looks into it or changes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def on_the_database() -> Iterator[None]:
    """The desk's own PostgreSQL is started for the command where it rests."""
    from telltale.cli.parts import cluster_of, complete
    from telltale.config.environment import load

    environment = load()
    with ExitStack() as stack:
        if not environment.database_url and not (cluster := cluster_of(environment)).is_serving():
            stack.callback(cluster.stop)
            cluster.start()
        os.environ.update(complete(environment, os.environ))
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")
        import django

        django.setup()
        stack.enter_context(_explained())
        yield


@contextmanager
def _explained() -> Iterator[None]:
    """What a person can mend, as the sentence that the command ends with."""
    from django.db import DatabaseError

    from telltale.cli.errors import CommandError

    try:
        yield
    except DatabaseError as error:
        raise CommandError(
            f"The database of the desk cannot be asked: {' '.join(str(error).split())}"
        ) from None
