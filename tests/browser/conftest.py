"""A whole desk, started by its own command on free ports, and a real Chromium in front of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Chromium's own sandbox does not run as root; the rest keeps it from looking for the world outside.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STARTED_WITHIN = 120  # seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="needs Chromium: apt-get install chromium"))


@dataclass(frozen=True)
class RunningDesk:
    url: str
    sign_in: str
    data: Path
    process: subprocess.Popen[str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="package")
def running_desk() -> Iterator[RunningDesk]:
    folder = Path(tempfile.mkdtemp(prefix="telltale-browser-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as another user and must get through
    port = free_port()
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TELLTALE_")
        and name not in ("DATABASE_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE")
    }
    variables |= {
        "TELLTALE_DATA": str(folder / "demo"),
        "TELLTALE_PORT": str(port),
        "TELLTALE_SMTP_LISTEN": f"127.0.0.1:{free_port()}",
        "TELLTALE_UNDO_SEND": "0s",  # a reply that waits for second thoughts has tests of its own
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "telltale", "demo"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield RunningDesk(f"http://127.0.0.1:{port}", _link(process), folder / "demo", process)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _link(process: subprocess.Popen[str]) -> str:
    said = []
    assert process.stdout
    for line in process.stdout:
        said.append(line)
        found = re.search(r"http://\S+/sign-in/\S+", line)
        if found:
            return found[0]
    raise AssertionError("the demo ended without a link:\n" + "".join(said))


@pytest.fixture(scope="package")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def signed_in(browser, running_desk):
    """The cookies of Maya's session: the demo's link works once."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(running_desk.sign_in)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(browser, running_desk, signed_in):
    """A page of Maya's that fails the test on any script error or refused resource."""
    context = browser.new_context(
        base_url=running_desk.url, storage_state=signed_in, viewport={"width": 1440, "height": 1000}
    )
    page = context.new_page()
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
    yield page
    context.close()
    assert faults == []


def _is_fault(message) -> bool:
    # A refused form (422) is an answer, and Chromium logs it as an error.
    return message.type == "error" and "422" not in message.text
