"""What `pip install telltale` gives: the engine and its commands, with next to nothing else; the desk is an extra.

The wheel is built and installed into an environment of its own, which has what the wheel's metadata asks for and no
more.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
MAIL = Path(__file__).parent / "corpus" / "postfix" / "no-such-user.eml"
SOURCE = PROJECT / "src"
NOT_CODE = (".pyc", ".pot", ".po")  # what no installed program reads


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    [built] = folder.glob("telltale-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the base package alone."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", str(wheel)]
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, cwd=folder)
    [packages] = folder.glob("lib/python*/site-packages")
    for path in files_of(required_by(metadata_of(wheel))):
        if not (packages / path.name).exists():
            (packages / path.name).symlink_to(path)
    return folder / "bin"


def metadata_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


def required_by(requirements: list[str]) -> set[str]:
    """The names of the distributions that these need without any extra, and of those that they need in turn."""
    found: set[str] = set()
    for requirement in requirements:
        if "extra ==" not in requirement and (name := re.match(r"[\w.-]+", requirement)):
            found |= {name[0]} | required_by(distribution(name[0]).requires or [])
    return found


def files_of(names: set[str]) -> Iterator[Path]:
    """The folders and files at the top of these distributions, where they are installed now."""
    for name in names:
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files if file.parts[0] != ".."}:
            yield Path(str(distribution(name).locate_file(top)))


def ran(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Somewhere else than in the project, so that its source is not imported by chance."""
    data = str(installed.parent / "data")
    environment = {"PATH": str(installed), "HOME": str(installed.parent), "TELLTALE_DATA": data}
    return subprocess.run(
        [str(installed / words[0]), *words[1:]],
        env=environment,
        cwd=installed.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_base_package_asks_for_rich_alone(wheel: Path) -> None:
    asked_for = [line for line in metadata_of(wheel) if "extra ==" not in line]

    assert [re.split(r"\W", line)[0] for line in asked_for] == ["rich"]


def test_the_wheel_has_every_file_that_a_program_reads(wheel: Path) -> None:
    source = {
        str(path.relative_to(SOURCE))
        for path in (SOURCE / "telltale").rglob("*")
        if path.is_file() and not path.name.endswith(NOT_CODE)
    }
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())

    assert source - inside == set()
    assert {
        "telltale/py.typed",
        "telltale/bounce/data/compiled.json",
        "telltale/bounce/locale/de/LC_MESSAGES/telltale.mo",
        "telltale/bounce/locale/es/LC_MESSAGES/telltale.mo",
        "telltale/bounce/locale/fr/LC_MESSAGES/telltale.mo",
        "telltale/cli/engine/report/report.css",
        "telltale/web/static/telltale.css",
        "telltale/web/static/vendor/htmx.min.js",
        "telltale/web/templates/base.html",
    } <= inside


def test_there_is_no_django_beside_it(installed: Path) -> None:
    found = ran(
        installed, "python", "-c", "import telltale.bounce; print(telltale.bounce.__file__); import django"
    )

    assert str(installed.parent) in found.stdout
    assert "No module named 'django'" in found.stderr


def test_it_is_a_library(installed: Path) -> None:
    code = f"""
from pathlib import Path
from telltale.bounce import explain, read
[report] = read(Path({str(MAIL)!r}).read_bytes()).reports
print(explain(report).reason, explain(report, language="de").title != explain(report).title)
"""
    assert ran(installed, "python", "-W", "error", "-c", code).stdout == "user_unknown True\n"


def test_it_explains_a_reply(installed: Path) -> None:
    as_json = ran(installed, "telltale", "explain", "--json", "550 5.1.1 No such user")
    page = ran(installed, "telltale", "explain", "550 5.1.1 No such user")

    assert json.loads(as_json.stdout)["reason"] == "user_unknown"
    assert (as_json.stderr, page.stderr, page.returncode) == ("", "", 0)
    assert "550 5.1.1 No such user" in page.stdout


def test_it_reads_mail_and_reports_on_it(installed: Path, tmp_path: Path) -> None:
    read = ran(installed, "telltale", "bounce", "read", "--json", str(MAIL))
    table = ran(installed, "telltale", "bounce", "read", str(MAIL))
    page = tmp_path / "bounces.html"
    report = ran(installed, "telltale", "bounce", "report", str(MAIL), "--html", str(page))

    assert [one["reason"] for one in json.loads(read.stdout)["reports"]] == ["user_unknown"]
    assert [one.returncode for one in (read, table, report)] == [0, 0, 0], report.stderr
    assert json.loads(read.stdout)["reports"][0]["final_recipient"] in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["run"], ["demo"], ["web"], ["deliver"], ["receive"], ["manage", "check"]])
def test_it_says_how_to_install_the_desk(installed: Path, words: list[str]) -> None:
    answer = ran(installed, "telltale", *words)

    assert answer.returncode == 2, answer.stderr
    assert "pip install 'telltale[desk]'" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (installed.parent / "data").exists()
