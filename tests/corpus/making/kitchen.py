"""Runs one server in a root of its own: this machine's root with a layer above it that is thrown away."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .servers import Server
from .world import SERVER, SERVER_ADDRESS

_INSTALL = "apt-get install --yes --quiet --quiet --no-install-recommends"
_FILES = {
    "/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "/etc/hosts": f"127.0.0.1 localhost\n{SERVER_ADDRESS} {SERVER} mx\n",
    "/etc/hostname": f"{SERVER}\n",
    "/etc/mailname": f"{SERVER}\n",
    "/usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",  # no service starts when it is installed
}
_DEVICES = ("null", "zero", "random", "urandom", "tty")
_USERS = "chmod 755 /usr/sbin/policy-rc.d; for user in ana ben; do useradd --create-home $user; done"


def fetch(server: Server, cache: Path) -> None:
    """Bring the packages that this machine lacks from Debian."""
    archives = _archives(server, cache)
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    command = f"{_INSTALL} --download-only -o Dir::Cache::archives={archives} {' '.join(server.packages)}"
    subprocess.run(shlex.split(command), check=True, env=_environment(), stdout=subprocess.DEVNULL)


@contextmanager
def root_of(server: Server, cache: Path, folder: Path) -> Iterator[Path]:
    """A root where the server is installed and set up. `folder` holds it and is on no overlay itself."""
    root = folder / server.name / "root"
    for name in ("root", "upper", "work"):
        (folder / server.name / name).mkdir(parents=True)
    layers = f"lowerdir=/,upperdir={root.parent}/upper,workdir={root.parent}/work"
    run("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
    run("mount", "--rbind", "/proc", f"{root}/proc")
    _make_devices(root)
    try:
        _install(server, cache, root)
        yield root
    finally:
        run("umount", "--lazy", str(root))


def _make_devices(root: Path) -> None:
    run("mount", "-t", "tmpfs", "tmpfs", f"{root}/dev")
    for name in _DEVICES:
        (root / "dev" / name).touch()
        run("mount", "--bind", f"/dev/{name}", f"{root}/dev/{name}")


def _install(server: Server, cache: Path, root: Path) -> None:
    _write(root, _FILES)
    _shell(root, _USERS)
    (root / "debs").mkdir()
    for package in _archives(server, cache).glob("*.deb"):
        (root / "debs" / package.name).write_bytes(package.read_bytes())
    _shell(root, f"{_INSTALL} --no-download -o Dir::Cache::archives=/debs {' '.join(server.packages)}")
    _write(root, _FILES | dict(server.files))
    _shell(root, server.prepare)


async def submit(server: Server, root: Path, sender: str, recipients: tuple[str, ...], mail: bytes) -> None:
    """Hand the mail to a server that takes none over SMTP."""
    command = server.submit.format(sender=shlex.quote(sender), recipients=shlex.join(recipients))
    process = await _start(root, command, stdin=asyncio.subprocess.PIPE)
    await process.communicate(mail)


async def start(server: Server, root: Path) -> None:
    """Start the server, and a system log for it."""
    loop = asyncio.get_running_loop()
    log = str(root / "dev/log")
    await loop.create_datagram_endpoint(lambda: _SystemLog(root), local_addr=log, family=socket.AF_UNIX)
    (root / "dev/log").chmod(0o666)
    await (await _start(root, server.start)).wait()


class _SystemLog(asyncio.DatagramProtocol):
    def __init__(self, root: Path) -> None:
        self._path = root / "var/log/syslog"

    def datagram_received(self, data: bytes, addr: object) -> None:
        with self._path.open("ab") as log:
            log.write(data.rstrip(b"\0\n") + b"\n")


def stop(root: Path) -> None:
    """End every process that lives in this root. The process namespace holds nothing but us and them."""
    for process in Path("/proc").glob("[0-9]*"):
        if _root_of_process(process) == root:
            os.kill(int(process.name), signal.SIGKILL)


def _root_of_process(process: Path) -> Path | None:
    try:
        return (process / "root").readlink()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended


async def nudge(server: Server, root: Path) -> None:
    await (await _start(root, server.nudge)).wait()


async def _start(root: Path, command: str, **options: int) -> asyncio.subprocess.Process:
    log = (root / "var/log/loopback.log").open("ab")  # a local file, opened for the child
    with log:
        return await asyncio.create_subprocess_exec(
            "chroot",
            str(root),
            "/bin/sh",
            "-c",
            command,
            stdout=log,
            stderr=log,
            env=_environment(),
            **options,
        )


def log(root: Path) -> str:
    """What the server and its commands have written to logs."""
    logs = filter(Path.is_file, sorted((root.parent / "upper/var/log").rglob("*log")))
    return "\n".join(f"{path.name}:\n{path.read_text(errors='backslashreplace')}" for path in logs)


def _shell(root: Path, command: str) -> None:
    run("chroot", str(root), "/bin/sh", "-c", command)


def run(*command: str) -> None:
    """Run a command to its end, and tell what it said where it fails."""
    done = subprocess.run(
        command, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.unlink(missing_ok=True)  # it may be a link that leads out of this root
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _archives(server: Server, cache: Path) -> Path:
    return cache / server.packages[0]


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "DEBIAN_FRONTEND": "noninteractive",
    } | {name: value for name, value in os.environ.items() if name.endswith("_proxy")}
