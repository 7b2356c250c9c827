"""What the command line says, and what it says when something is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from telltale import __version__
from telltale.cli import INTERRUPTED, main
from telltale.cli.errors import CommandError
from telltale.cli.secrets import make_data_folder
from tests.cli.helpers import environment, free_port, telltale
from tests.postgres.helpers import in_child

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


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DATABASE_URL", "mysql://db/desk", "it should be a PostgreSQL URL or connection string"),
        ("SECRET_KEY", "hunter2", "has 7 characters: it should be 32 characters or more"),
        ("TELLTALE_DATA", "var/desk", "it should be the full path of a folder"),
        ("TELLTALE_DATA", "~nobody-of-this-name/desk", "it should be the full path of a folder"),
        ("TELLTALE_DATA", "/dev/null/desk", "/dev/null/desk cannot be made: Not a directory."),
        ("TELLTALE_RETRY_FOR", "5 days", "it should be a number with s, m, h or d behind it, such as 2d12h"),
        ("TELLTALE_HOST", "192.0.2.1", "this machine has no such address. Set TELLTALE_HOST to"),
        (
            "TELLTALE_SMTP_LISTEN",
            "192.0.2.1:25",
            "this machine has no such address. Set TELLTALE_SMTP_LISTEN",
        ),
        ("TELLTALE_POSTGRES_BIN", "/", "/ holds no initdb and postgres that run here."),
    ],
)
def test_a_value_that_cannot_serve_is_refused_in_one_line(name: str, value: str, said: str, tmp_path: Path):
    ports = {"TELLTALE_PORT": str(free_port()), "TELLTALE_SMTP_LISTEN": f"127.0.0.1:{free_port()}"}

    done = telltale("run", **({"TELLTALE_DATA": str(tmp_path)} | ports | {name: value}))

    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert name in line
    assert said in line


def test_a_folder_of_somebody_else_is_named():
    folder = Path(tempfile.mkdtemp(prefix="telltale-desk-"))
    folder.chmod(0o555)
    try:
        assert in_child(partial(refuse, folder), user="nobody") == 0
    finally:
        folder.rmdir()


def refuse(folder: Path) -> None:
    with pytest.raises(CommandError, match=f"TELLTALE_DATA: {folder} may not be written by this user"):
        make_data_folder(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_root_does_not_open_the_desk_of_somebody_else(tmp_path: Path):
    lock = tmp_path / "desk.lock"
    lock.touch()
    shutil.chown(lock, "nobody")

    done = telltale("run", TELLTALE_DATA=str(tmp_path))

    assert done.returncode == 2
    assert f"The desk in {tmp_path} belongs to user nobody. Start it as that user" in done.stderr
    assert list(tmp_path.iterdir()) == [lock]


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


def test_ctrl_c_before_anything_runs_ends_without_a_traceback(monkeypatch: pytest.MonkeyPatch):
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("telltale.cli.run.run", interrupted)

    assert main(["run"]) == INTERRUPTED
