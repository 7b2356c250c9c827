"""What the command line says, and what it says when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from telltale import __version__
from tests.cli.helpers import environment, telltale

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"


def test_it_tells_its_version():
    assert telltale("--version").stdout == f"telltale {__version__}\n"


@pytest.mark.parametrize("command", ["run", "demo", "web", "deliver", "receive", "settings", "manage"])
def test_a_wrong_environment_ends_every_command_with_a_sentence(command: str, tmp_path: Path):
    done = telltale(command, TELLTALE_PORT="eighty", TELLTALE_PROT="1", TELLTALE_DATA=str(tmp_path / "data"))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "TELLTALE_PROT is no setting of Telltale; did you mean TELLTALE_PORT?",
        'TELLTALE_PORT is "eighty": it should be a port number from 1 to 65535, such as 8080',
    ]
    assert not (tmp_path / "data").exists()


def test_the_settings_in_force_are_shown_and_the_secrets_are_not():
    done = telltale("settings", SECRET_KEY="hunter2" * 8, TELLTALE_PORT="8080", TELLTALE_RETRY_FOR="2d")

    shown = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert shown["TELLTALE_PORT"] == "8080"
    assert shown["TELLTALE_RETRY_FOR"] == "172800s"
    assert shown["SECRET_KEY"] == "set, and not shown"
    assert "hunter2" not in done.stdout


def test_the_document_of_the_settings_can_be_written_anew():
    assert telltale("settings", "--markdown").stdout == DOCUMENT.read_text(encoding="utf-8")


def test_a_part_alone_needs_a_database_and_says_so(tmp_path: Path):
    done = telltale("web", TELLTALE_DATA=str(tmp_path / "desk"))

    assert done.returncode == 2
    assert f"No PostgreSQL runs for the desk in {tmp_path / 'desk'}." in done.stderr
    assert "DATABASE_URL" in done.stderr


def test_the_demo_does_not_touch_a_desk_that_is_no_demo(tmp_path: Path):
    (tmp_path / "secret_key").write_text("a real desk's")

    done = telltale("demo", "--reset", TELLTALE_DATA=str(tmp_path))

    assert done.returncode == 2
    assert f"{tmp_path} holds a desk that is no demo, and stays as it is." in done.stderr
    assert (tmp_path / "secret_key").read_text() == "a real desk's"


def test_an_answer_needs_no_django():
    code = (
        "import sys; from telltale.cli import main; main(['settings'])\n"
        "sys.exit('django' in sys.modules or 'psycopg' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
