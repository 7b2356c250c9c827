"""The parts of a desk: which process is which, and each of them alone.

`telltale run` starts all of them. Where a service manager starts them one by one, `telltale web`, `deliver`
and `receive` become that process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from telltale.cli import secrets
from telltale.cli.errors import CommandError
from telltale.cli.service import Service
from telltale.config.environment import Environment, load
from telltale.postgres import Cluster


def services(variables: Mapping[str, str]) -> list[Service]:
    """The processes of a desk with these settings."""
    return [
        Service("web", "telltale.config.server", (), variables),
        Service("deliver", "telltale.delivery.worker", (), variables),
        Service("receive", "telltale.inbound.door", (), variables),
    ]


def cluster_of(environment: Environment) -> Cluster:
    """The desk's own PostgreSQL."""
    return Cluster(
        environment.data / "postgres",
        log=environment.data / "logs" / "postgres.log",
        chosen_programs=environment.postgres_bin,
    )


def become(part: str) -> int:
    """Turns this process into a part of the desk, whose database is there already."""
    environment = load()
    variables = complete(environment, os.environ)
    if not environment.database_url and not cluster_of(environment).is_serving():
        raise CommandError(
            f"No PostgreSQL runs for the desk in {environment.data}. Start it with `telltale run`, which "
            "starts this part too, or set DATABASE_URL to a PostgreSQL elsewhere."
        )
    service = next(service for service in services(variables) if service.name == part)
    command = [sys.executable, "-P", "-m", service.module, *service.arguments]
    sys.stdout.flush()
    os.execve(sys.executable, command, dict(variables))  # noqa: S606  (our own words, no shell)


def manage(words: Sequence[str]) -> int:
    """A command of Django, on the desk's database. Its own PostgreSQL is started for it where it rests."""
    with database_of_the_desk():
        from django.core.management import ManagementUtility

        ManagementUtility(["telltale manage", *words]).execute()
    return 0


@contextmanager
def database_of_the_desk() -> Iterator[None]:
    """The environment that Django needs. The desk's own PostgreSQL is started where it rests, and stopped again."""
    environment = load()
    with ExitStack() as stack:
        if not environment.database_url and not (cluster := cluster_of(environment)).is_serving():
            stack.callback(cluster.stop)
            cluster.start()
        os.environ.update(complete(environment, os.environ))
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "telltale.config.settings")
        yield


def complete(environment: Environment, variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for the desk's processes: where DATABASE_URL and SECRET_KEY are empty, the desk's own."""
    own = {
        "DATABASE_URL": environment.database_url or cluster_of(environment).dsn(),
        "SECRET_KEY": environment.secret_key or secrets.kept_in(environment.data),
        "TELLTALE_DATA": str(environment.data),
    }
    return {**variables, **own}
