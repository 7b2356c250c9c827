"""Django on the desk's database, for a command that looks into it or changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def on_the_database() -> Iterator[None]:
    """Django set up, and what a person can mend as a sentence."""
    from telltale.cli.parts import database_of_the_desk

    with database_of_the_desk():
        import django

        django.setup()
        with _explained():
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
