"""Clusters and their owners, for tests that stop and kill them."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import psycopg

from telltale.postgres import Cluster

_OWNER = """\
import sys
from pathlib import Path
from tests.postgres.helpers import cluster_in

cluster_in(Path(sys.argv[1])).start()
print("serving", flush=True)
sys.stdin.read()
"""


def cluster_in(folder: Path) -> Cluster:
    return Cluster(folder / "postgres", log=folder / "postgres.log")


def owner_of(folder: Path) -> subprocess.Popen[str]:
    """Another process that has started the cluster in `folder`."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert owner.stdout
    assert owner.stdout.readline() == "serving\n"
    return owner


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def in_child(work: Callable[[], None], *, user: str) -> int:
    """Does `work` in a fork of this process, as that user where we are root; the exit code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: `work` is small
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                _become(user)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(user: str) -> None:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def ask(cluster: Cluster, query: str) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
    return str(row[0]) if row else ""
