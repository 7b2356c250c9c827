"""Make the mails of real servers anew: `python -m tests.corpus.make [SERVER…]`.

It needs root, a Debian with its package lists up to date (`apt-get update`) and `unshare`, `ip`, `mount` and
`chroot`. It installs nothing: each server lives in a layer above this machine's root that is thrown away. It
runs in a network namespace of its own, where the only device is loopback, so nothing leaves it.

For each server it fetches the Debian packages, starts it with our configuration, lets the desk send its mails
through it (making/cases.py), to hosts that refuse them (making/world.py), and writes what comes back to
<server>/<case>.eml. What the mails must be read as stands in <server>/expected.toml, which people write.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import smtplib
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack
from pathlib import Path

from telltale.sandbox.dns import DnsServer

from .making import kitchen, next_hop
from .making.cases import CASES, Case
from .making.same_again import same_again
from .making.servers import SERVERS, Server
from .making.world import DESK_DOMAIN, HOSTS, SERVER, SERVER_ADDRESS, zone

HERE = Path(__file__).parent
PATIENCE = 60  # seconds for all reports of a server; each gives up after 20 to 25
INSIDE = "--inside"
_ACTION = re.compile(rb"^Action: *(delayed|delivered|relayed|expanded)", re.MULTILINE | re.IGNORECASE)
_UNSHARE = "unshare --mount --net --uts --ipc --pid --fork --mount-proc --kill-child"


def main() -> None:
    options = _options()
    servers = [server for server in SERVERS if server.name in options.servers]
    if options.inside:
        asyncio.run(_make(servers, options))
        return
    with tempfile.TemporaryDirectory() as cache:
        for server in servers:
            kitchen.fetch(server, options.cache or Path(cache))
        again = [sys.executable, "-m", "tests.corpus.make", *sys.argv[1:], INSIDE]
        command = [*_UNSHARE.split(), *again, "--cache", str(options.cache or cache)]
        sys.exit(subprocess.run(command, check=False).returncode)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [server.name for server in SERVERS]
    parser.add_argument("servers", nargs="*", default=names, metavar="SERVER", help=", ".join(names))
    parser.add_argument("--cache", type=Path, help="a folder that keeps the packages for the next time")
    parser.add_argument("--log", action="store_true", help="print what the servers log")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


async def _make(servers: list[Server], options: argparse.Namespace) -> None:
    """In the namespaces: build the world, then one server after the other."""
    _set_up_this_machine()
    reports = Reports()
    async with AsyncExitStack() as stack:
        dns = DnsServer(zone())
        await dns.start(53)
        stack.push_async_callback(dns.stop)
        for host in HOSTS:
            if host.listens:
                await stack.enter_async_context(await next_hop.listen(host, reports.take))
        for server in servers:
            await _make_one(server, options, reports)


def _set_up_this_machine() -> None:
    """A host name, loopback with the addresses of our world, and room for the layers."""
    kitchen.run("hostname", SERVER)
    kitchen.run("ip", "link", "set", "lo", "up")
    for address in (SERVER_ADDRESS, *(host.address for host in HOSTS)):
        kitchen.run("ip", "address", "add", f"{address}/32", "dev", "lo")
    kitchen.run("mount", "-t", "tmpfs", "tmpfs", "/mnt")


async def _make_one(server: Server, options: argparse.Namespace, reports: Reports) -> None:
    _tell(f"{server.name}: setting up")
    reports.clear()
    with kitchen.root_of(server, options.cache, Path("/mnt")) as root:
        await kitchen.start(server, root)
        await _wait_for_port(server, root)
        cases = [CASES[name] for name in server.cases]
        for case in cases:
            await _send(server, root, case)
        await _wait(server, root, cases, reports)
        if options.log:
            _tell(kitchen.log(root))
        kitchen.stop(root)
    _write(server, cases, reports)


async def _wait_for_port(server: Server, root: Path) -> None:
    if server.submit:
        return
    for _ in range(20):
        try:
            _, writer = await asyncio.open_connection(SERVER_ADDRESS, 25)
        except ConnectionRefusedError:
            await asyncio.sleep(0.5)
        else:
            writer.close()
            return
    raise RuntimeError(f"{server.name} does not listen:\n{kitchen.log(root)}")


async def _send(server: Server, root: Path, case: Case) -> None:
    """Hand the mail over, by command or by SMTP. What the server refuses at once makes no report."""
    if server.submit:
        await kitchen.submit(server, root, case.sender, case.recipients, case.mail())
    else:
        await asyncio.to_thread(_send_by_smtp, case)


def _send_by_smtp(case: Case) -> None:
    options = ["SMTPUTF8"] if not all(recipient.isascii() for recipient in case.recipients) else []
    with smtplib.SMTP(SERVER_ADDRESS, 25, local_hostname=f"desk.{DESK_DOMAIN}", timeout=30) as smtp:
        try:
            smtp.sendmail(
                case.sender,
                case.recipients,
                case.mail().replace(b"\n", b"\r\n"),
                mail_options=[*case.mail_options, *options],
                rcpt_options=case.rcpt_options,
            )
        except smtplib.SMTPException as refusal:
            _tell(f"  {case.name}: refused at once: {refusal}")


async def _wait(server: Server, root: Path, cases: list[Case], reports: Reports) -> None:
    """Until every case has its reports, or for as long as there is patience."""
    try:
        async with asyncio.timeout(PATIENCE):
            while _missing(server, cases, reports):
                await kitchen.nudge(server, root)
                await asyncio.sleep(2)
            await asyncio.sleep(2)  # one more may be on its way
    except TimeoutError:
        pass  # some servers give up in silence; _write() tells of which cases


def _missing(server: Server, cases: list[Case], reports: Reports) -> list[str]:
    return [case.name for case in cases if len(reports.of(case)) < min(case.reports, server.most_reports)]


def _write(server: Server, cases: list[Case], reports: Reports) -> None:
    folder = HERE / server.name
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.eml"):
        old.unlink()
    for case in cases:
        mails = [same_again(mail, server.changing, seed=case.name) for mail in reports.of(case)]
        for name, mail in _named(case, mails).items():
            (folder / f"{name}.eml").write_bytes(mail)
    if missing := _missing(server, cases, reports):
        _tell(f"  no report of: {', '.join(missing)}")
    _tell(f"  {len(list(folder.glob('*.eml')))} mails")


def _named(case: Case, mails: list[bytes]) -> dict[str, bytes]:
    """The mails under names that tell what they are, as far as the word in their Action field says.

    Of warnings only the first is kept. A server may write a report for each recipient: their order is chance.
    """
    named: dict[str, bytes] = {}
    for mail in mails:
        if action := _ACTION.search(mail):
            named.setdefault(f"{case.name}-{action[1].decode().lower()}", mail)
    for place, mail in enumerate(sorted((mail for mail in mails if not _ACTION.search(mail)), key=_body)):
        named[f"{case.name}-{place + 1}" if place else case.name] = mail
    return named


def _body(mail: bytes) -> bytes:
    return mail.partition(b"\r\n\r\n")[2]


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Reports:
    """The mails that came to the desk, by the address that they came to."""

    def __init__(self) -> None:
        self._mails: dict[str, list[bytes]] = defaultdict(list)

    def take(self, envelope: next_hop.Envelope, mail: bytes) -> None:
        for address in envelope.rcpt_to:
            if address.endswith(f"@{DESK_DOMAIN}"):
                stamp = f"Return-Path: <{envelope.mail_from}>\r\nDelivered-To: {address}\r\n"
                self._mails[address].append(stamp.encode() + mail)

    def of(self, case: Case) -> list[bytes]:
        return self._mails[case.sender]

    def clear(self) -> None:
        self._mails.clear()


if __name__ == "__main__":
    main()
