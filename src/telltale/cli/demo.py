"""`telltale demo`: a desk with sample conversations, and mail servers that do what an address says.

Rule 1: no mail leaves the machine: the sandbox answers for every domain that the desk may send to.
Rule 2: the demo has data and a PostgreSQL of its own. It never touches a desk that works for somebody.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import telltale
from telltale.cli import ports
from telltale.cli.errors import CommandError
from telltale.cli.parts import cluster_of
from telltale.cli.run import Desk, check_ports, sole_desk_in
from telltale.cli.secrets import FILE as SECRET_KEY_FILE
from telltale.cli.service import Service
from telltale.config.environment import Environment, load
from telltale.postgres import account_for
from telltale.sandbox.hosts import DESK_HOST

_OF_ROOT = Path("/var/lib/telltale-demo")
_MARK = "demo"  # the file that says: what lies here is a demo, and may be removed
_LOCK = "desk.lock"


@dataclass(frozen=True, slots=True)
class SandboxPorts:
    """Where the sandbox and the desk's door listen, all on 127.0.0.1."""

    dns: int
    smtp: int  # the first of the mail servers
    desk: int

    @classmethod
    def find(cls) -> SandboxPorts:
        return cls(
            dns=ports.free_block(2553, 1), smtp=ports.free_block(2600, 32), desk=ports.free_block(2525, 1)
        )


def demo(*, reset: bool) -> int:
    """The demo, until Ctrl-C."""
    data = load(_own_variables(os.environ)).data  # says what is wrong before anything is touched
    with sole_desk_in(data) as patience:
        _claim(data)
        if reset:
            _remove(load(_own_variables(os.environ)))
        sandbox = SandboxPorts.find()
        variables = _own_variables(os.environ) | {
            "TELLTALE_SANDBOX": "yes",
            "TELLTALE_DNS": f"127.0.0.1:{sandbox.dns}",
            "TELLTALE_SMTP_LISTEN": f"127.0.0.1:{sandbox.desk}",
        }
        environment = load(variables)
        check_ports(environment, patience)
        ground = [Service("sandbox", "telltale.sandbox", _arguments(sandbox), variables)]
        desk = Desk(environment, variables, ground=ground, prepare=["--demo"])
        return desk.run(lambda path: _greeting(environment, path))


def _own_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """The person's settings, without the database, the secret and the mail ways of another desk."""
    others = ("DATABASE_URL", "SECRET_KEY", "TELLTALE_SMTP_LISTEN", "TELLTALE_DNS", "TELLTALE_SMTP_PORT")
    own = {name: value for name, value in variables.items() if name not in others}
    own["TELLTALE_DATA"] = own.get("TELLTALE_DATA") or str(_default_data())
    own["TELLTALE_HELO"] = own.get("TELLTALE_HELO") or DESK_HOST
    return own


def _default_data() -> Path:
    """`var` in the project's folder; elsewhere where there is none, or the server may not go there."""
    project = Path(telltale.__file__).resolve().parents[2]
    in_project = (project / "pyproject.toml").exists()
    if os.geteuid() == 0:
        # Root's server runs as another user, who may not enter a project below /root.
        reachable = in_project and account_for(project / "var").can_enter(project)
        return project / "var" if reachable else _OF_ROOT
    return project / "var" if in_project else Path("~/.local/share/telltale-demo").expanduser()


def _claim(data: Path) -> None:
    """Marks the folder as a demo's; refuses one where a desk is that is none."""
    if not (data / _MARK).exists() and (data / SECRET_KEY_FILE).exists():
        raise CommandError(
            f"{data} holds a desk that is no demo, and stays as it is. Set TELLTALE_DATA to another folder."
        )
    (data / _MARK).write_text("The data of `telltale demo`. `telltale demo --reset` removes them.\n")


def _remove(environment: Environment) -> None:
    """Empties the data folder, but for the lock that we hold and the mark."""
    cluster_of(environment).remove()
    for entry in environment.data.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name not in (_MARK, _LOCK):
            entry.unlink()


def _arguments(sandbox: SandboxPorts) -> tuple[str, ...]:
    return (
        f"--dns-port={sandbox.dns}",
        f"--smtp-port-base={sandbox.smtp}",
        f"--desk-port={sandbox.desk}",
    )


def _greeting(environment: Environment, path: str) -> str:
    return (
        f"\nThe demo is open. This link signs you in, once:\n\n    {environment.url}{path}\n\n"
        f"Addresses to try, each with another fate: {environment.url}/sandbox/\n"
        f"Its data are kept in {environment.data}. Ctrl-C stops it."
    )
