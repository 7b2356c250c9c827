"""The desk's own PostgreSQL, real: made, served, killed, found again."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from telltale.postgres import Account, Cluster, FolderInUseError, PostgresError
from telltale.postgres.cluster import ADMIN, DESK
from tests.postgres.helpers import ask, cluster_in, in_child, kill, owner_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_it_serves_the_desk_and_is_the_same_after_a_stop(cluster: Cluster):
    cluster.start()
    ask(cluster, "CREATE TABLE kept AS SELECT 'still here' AS word")
    cluster.stop()
    assert not cluster.is_serving()

    cluster.start()

    assert ask(cluster, "SELECT word FROM kept") == "still here"
    assert ask(cluster, "SELECT current_user") == DESK
    assert ask(cluster, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "False"
    assert ask(cluster, "SELECT datcollate FROM pg_database WHERE datname = current_database()").startswith(
        "C"
    )


def test_it_opens_no_port_and_its_socket_is_private(cluster: Cluster):
    cluster.start()

    assert ask(cluster, "SHOW listen_addresses") == ""
    assert stat.S_IMODE((cluster.folder / "socket").stat().st_mode) == 0o700
    assert stat.S_IMODE(cluster.data.stat().st_mode) == 0o700


@needs_root
def test_not_even_the_account_of_the_server_may_connect(cluster: Cluster):
    cluster.start()
    account = pwd.getpwuid(cluster.data.stat().st_uid)
    assert account.pw_uid != 0

    def connect() -> None:
        with pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(cluster.dsn(role=ADMIN))

    assert in_child(connect, user=account.pw_name) == 0


@needs_root
def test_an_ordinary_user_has_a_server_of_their_own(empty_folder: Path):
    entry = pwd.getpwnam("nobody")
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    project = Path(__file__).parents[2]
    if not account.can_enter(Path(sys.executable).resolve()) or not account.can_enter(project):
        pytest.skip("the user nobody may not use this Python or this folder")
    os.chown(empty_folder, entry.pw_uid, entry.pw_gid)
    code = (
        "import sys; from pathlib import Path; from tests.postgres.helpers import ask, cluster_in\n"
        "cluster = cluster_in(Path(sys.argv[1])); cluster.start()\n"
        "print(ask(cluster, 'SELECT current_user')); cluster.stop()"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, empty_folder],
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
        cwd=empty_folder,
        env={"PYTHONPATH": str(project), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == (f"{DESK}\n", "")
    assert (empty_folder / "postgres" / "data").stat().st_uid == entry.pw_uid


def test_a_second_desk_on_the_folder_is_told_who_has_it(cluster: Cluster, folder: Path):
    cluster.start()

    with pytest.raises(FolderInUseError, match=f"Process {os.getpid()} uses the PostgreSQL in"):
        cluster_in(folder).start()

    assert ask(cluster, "SELECT 1") == "1"


def test_when_its_owner_is_killed_the_next_one_finds_all(cluster: Cluster, folder: Path):
    owner = owner_of(folder)
    ask(cluster, "CREATE TABLE kept AS SELECT 'still here' AS word")

    kill(owner)
    cluster.start()

    assert ask(cluster, "SELECT word FROM kept") == "still here"


def test_when_every_process_is_killed_the_next_start_recovers(cluster: Cluster, folder: Path):
    owner = owner_of(folder)
    ask(cluster, "CREATE TABLE kept AS SELECT 'still here' AS word")
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])

    kill(owner)
    os.kill(postmaster, signal.SIGKILL)
    cluster.start()

    assert ask(cluster, "SELECT word FROM kept") == "still here"


def test_a_server_in_a_hurry_recovers_at_the_next_start(cluster: Cluster):
    cluster.start()
    ask(cluster, "CREATE TABLE kept AS SELECT 'still here' AS word")

    cluster.hurry()
    cluster.wait()
    assert "recovery" not in cluster.log.read_text()
    cluster.stop()
    cluster.start()

    assert ask(cluster, "SELECT word FROM kept") == "still here"
    assert "automatic recovery in progress" in cluster.log.read_text()


def test_it_is_made_where_there_is_none_whatever_an_interrupted_initdb_left(empty_folder: Path):
    unfinished = empty_folder / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    unfinished.parent.chmod(0o711)
    (unfinished / "half").write_text("")
    cluster = cluster_in(empty_folder)

    cluster.start()

    try:
        assert ask(cluster, "SELECT current_user") == DESK
        assert not unfinished.exists()
    finally:
        cluster.stop()


def test_removing_it_leaves_nothing(cluster: Cluster, folder: Path):
    cluster.start()
    with pytest.raises(FolderInUseError):
        cluster_in(folder).remove()
    cluster.stop()

    cluster.remove()

    assert not cluster.folder.exists()


def test_data_of_another_major_version_are_not_touched(cluster: Cluster):
    cluster.start()
    cluster.stop()
    (cluster.data / "PG_VERSION").write_text("12\n")

    with pytest.raises(PostgresError, match="were written by PostgreSQL 12; these programs are version"):
        cluster.start()

    assert (cluster.data / "PG_VERSION").read_text() == "12\n"


def test_a_folder_with_something_else_in_it_is_not_touched(empty_folder: Path):
    cluster = cluster_in(empty_folder)
    cluster.data.mkdir(parents=True)
    cluster.folder.chmod(0o711)
    (cluster.data / "letter.txt").write_text("mine")

    with pytest.raises(PostgresError, match="holds no PostgreSQL data"):
        cluster.start()

    assert (cluster.data / "letter.txt").read_text() == "mine"


@needs_root
def test_a_folder_that_the_server_cannot_reach_is_named(empty_folder: Path):
    closed = empty_folder / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(PostgresError, match=rf"may not enter {closed} \(mode 0700\)\. Set TELLTALE_DATA"):
        cluster_in(closed).start()


def test_a_long_path_moves_the_socket_where_it_fits(folder: Path):
    deep = folder / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    (folder / "postgres").rename(deep / "postgres")
    cluster = cluster_in(deep)

    cluster.start()

    try:
        assert ask(cluster, "SELECT 1") == "1"
    finally:
        cluster.stop()
        cluster.remove()


def test_programs_that_are_none_are_refused_by_the_name_of_their_setting(tmp_path: Path):
    cluster = Cluster(tmp_path / "postgres", log=tmp_path / "log", chosen_programs=tmp_path)

    with pytest.raises(PostgresError, match=r"TELLTALE_POSTGRES_BIN: .* holds no initdb and postgres"):
        cluster.start()
