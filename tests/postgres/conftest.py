"""Folders that the account of the server can reach, also where the tests run as root."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telltale.postgres import Cluster
from tests.postgres.helpers import cluster_in


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    with _folder() as made:
        yield made


@pytest.fixture(scope="module")
def pattern() -> Iterator[Path]:
    """A cluster that has been made and stopped: copying one takes a tenth of making one."""
    with _folder() as made:
        cluster = cluster_in(made)
        cluster.start()
        cluster.stop()
        yield made


@pytest.fixture
def folder(empty_folder: Path, pattern: Path) -> Path:
    subprocess.run(["cp", "-a", pattern / "postgres", empty_folder], check=True)  # noqa: S607
    return empty_folder


@pytest.fixture
def cluster(folder: Path) -> Iterator[Cluster]:
    made = cluster_in(folder)
    yield made
    made.stop()


@contextmanager
def _folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="telltale-pg-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)
