"""The lists of locked dependencies: whole, hashed, and without the name of a host."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[2]


def locked(name: str) -> dict[str, str]:
    """Package -> version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (PROJECT / name).read_text("ascii"), re.MULTILINE))


def required(groups: list[str]) -> list[Requirement]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    desk = project["project"]["optional-dependencies"]["desk"]
    listed: list[Any] = [entry for group in groups for entry in project["dependency-groups"][group]]
    always = project["project"]["dependencies"]
    return [Requirement(entry) for entry in [*always, *desk, *listed] if isinstance(entry, str)]


@pytest.mark.parametrize(
    ("name", "groups"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])]
)
def test_every_dependency_is_locked_to_a_version_that_serves(name: str, groups: list[str]):
    versions = locked(name)

    for requirement in required(groups):
        version = versions.get(requirement.name)
        assert version, f"{requirement.name} is not locked: run make lock"
        assert requirement.specifier.contains(version), f"{requirement.name}: run make lock"


def test_the_tests_run_on_the_versions_that_the_desk_runs_on():
    desk, development = locked("requirements.lock"), locked("requirements-dev.lock")

    assert desk.items() <= development.items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_version_has_its_hashes_and_no_host_is_named(name: str):
    content = (PROJECT / name).read_text("ascii")

    assert "http" not in content
    assert "://" not in content
    for entry in re.split(r"\n(?=\S)", content.strip()):
        assert "--hash=sha256:" in entry, entry
