"""The house rules: an import runs downwards only, and the engines need neither Django nor each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "telltale"

# From the roof to the ground; rooms on one line do not know each other.
FLOORS = [
    ["cli"],
    ["web", "api"],
    ["inbound"],
    ["delivery"],
    ["channels"],
    ["conversations"],
    ["accounts", "events"],
    ["config"],
    ["sandbox", "bounce", "smtp", "postgres"],
    ["mail"],
]
WITHOUT_DJANGO = ["mail", "bounce", "smtp", "sandbox", "postgres"]
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
# The one place that wires everything together names rooms above itself.
WIRING = ["config/settings.py", "config/urls.py", "config/asgi.py"]


def imports_of(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    return modules


def files() -> list[Path]:
    return [file for file in SOURCE.rglob("*.py") if file.parent != SOURCE]


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(SOURCE)))
def test_an_import_runs_downwards_only(file: Path):
    if str(file.relative_to(SOURCE)) in WIRING:
        return
    here = file.relative_to(SOURCE).parts[0]
    for module in imports_of(file):
        parts = module.split(".")
        if parts[0] != "telltale" or len(parts) < 2 or parts[1] not in FLOOR or parts[1] == here:
            continue
        assert FLOOR[parts[1]] > FLOOR[here], f"{here}/ must not import {module}"


def test_every_room_has_its_floor():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}

    assert rooms - set(FLOOR) == set()


@pytest.mark.parametrize("room", WITHOUT_DJANGO)
def test_the_rooms_below_the_line_know_no_django(room: str):
    for file in (SOURCE / room).rglob("*.py"):
        assert not any(module.split(".")[0] == "django" for module in imports_of(file)), file


@pytest.mark.parametrize("room", ["mail", "bounce"])
def test_the_engine_runs_on_the_standard_library_alone(room: str):
    code = f"import sys, telltale.{room}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    assert set(loaded) - set(sys.stdlib_module_names) <= {
        "telltale",
        "__main__",
        "__mp_main__",
        "sitecustomize",
        "_virtualenv",
        "_distutils_hack",
    } | {name for name in loaded if name.startswith(("__editable__", "_telltale"))}
