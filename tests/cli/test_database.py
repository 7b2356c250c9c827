"""A PostgreSQL elsewhere is looked at before anything starts; one of our own is told one thing at a time."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from django.conf import settings

from telltale.cli import database
from telltale.cli.errors import CommandError
from telltale.postgres import Cluster
from tests.cli.helpers import free_port


async def test_a_database_that_does_not_answer_is_refused_without_its_password():
    url = f"postgresql://maya:hunter2@127.0.0.1:{free_port()}/desk"

    with pytest.raises(
        CommandError, match=r"^DATABASE_URL leads to no database: .*Connection refused"
    ) as caught:
        await database.check_database(url)

    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("django_db_modify_db_settings")
async def test_a_postgresql_that_is_too_old_is_refused_and_one_that_serves_is_not(
    monkeypatch: pytest.MonkeyPatch,
):
    url = settings.ENVIRONMENT.database_url
    await database.check_database(url)

    monkeypatch.setattr(database, "OLDEST", 1000)

    with pytest.raises(CommandError, match=r"leads to PostgreSQL \d+; Telltale needs 1000 or newer"):
        await database.check_database(url)


@pytest.mark.usefixtures("django_db_modify_db_settings")
async def test_a_postgresql_that_may_forget_what_it_confirmed_is_refused():
    url = settings.ENVIRONMENT.database_url
    forgetful = f"{url}{'&' if '?' in url else '?'}options=-c%20synchronous_commit%3Doff"

    with pytest.raises(CommandError, match="Set synchronous_commit = on"):
        await database.check_database(forgetful)


class SlowCluster(Cluster):
    """Takes its time to start, and writes down what it was told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, log=folder / "log")
        self.told: list[str] = []
        self.may_serve = threading.Event()

    def start(self) -> None:
        self.told.append("start")
        self.may_serve.wait(20)
        self.told.append("started")

    def stop(self) -> None:
        self.told.append("stop")


async def test_a_cluster_that_is_being_started_is_stopped_when_it_has_started(tmp_path: Path):
    cluster = SlowCluster(tmp_path)
    keeper = database.ClusterKeeper(cluster, say=lambda line: None)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.start())
        await asyncio.sleep(0)  # lets it begin
        tasks.create_task(keeper.stop())
        await asyncio.sleep(0)
        cluster.may_serve.set()

    assert cluster.told == ["start", "started", "stop"]
