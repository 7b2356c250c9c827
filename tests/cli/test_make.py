"""What `make` says on a machine that lacks something. Nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[2] / "Makefile"

# Interpreters as a fresh machine may have them; `-c` is all that make asks of them.
OLD = 'import sys; sys.version_info = (3, 10, 12, "final", 0)'
WITHOUT_VENV = 'import sys; sys.modules["ensurepip"] = None'  # Debian keeps it in a package of its own


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not shutil.which("make"):
        pytest.skip("needs make: apt-get install make")
    shutil.copy(MAKEFILE, tmp_path)
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def make(folder: Path, *, python: Path, target: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", target, f"PYTHON={python}"],  # noqa: S607
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def interpreter(folder: Path, *, first: str) -> Path:
    """A Python that does `first` before what it is told with -c."""
    script = folder / "python3"
    script.write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && echo "Python 3.10.12" && exit
exec {sys.executable} -c '{first}; exec(sys.argv[2])' "$@"
"""
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("target", ["demo", "run", "test"])
def test_a_python_that_is_too_old_is_named(folder: Path, target: str):
    done = make(folder, python=interpreter(folder, first=OLD), target=target)

    assert done.returncode != 0
    assert "Telltale needs Python 3.11 or newer; this is Python 3.10.12." in done.stdout
    assert not (folder / ".venv").exists()


def test_a_python_without_venv_is_told_the_package_of_debian(folder: Path):
    done = make(folder, python=interpreter(folder, first=WITHOUT_VENV), target="demo")

    assert done.returncode != 0
    assert f"apt-get install python3.{sys.version_info.minor}-venv" in done.stdout
    assert not (folder / ".venv").exists()


def test_a_python_that_is_missing_is_named(folder: Path):
    done = make(folder, python=folder / "python9", target="demo")

    assert done.returncode != 0
    assert "python9 is missing. Another one: make PYTHON=" in done.stdout
