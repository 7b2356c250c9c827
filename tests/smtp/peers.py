"""Postfix, Exim and OpenSMTPD as Debian builds them, for a test: on loopback ports, with files and users of their own.

They are taken from this machine, or from the folder in MAIL_SERVERS, into which their packages have been
unpacked (`dpkg-deb -x`), since they cannot be installed side by side. Nothing of the machine's own mail system
is touched: each server lives in a mount namespace, where /etc/passwd has the users that its package would make.
"""

from __future__ import annotations

import os
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.smtp.certificates import Identity

UNPACKED = Path(os.environ.get("MAIL_SERVERS", "/"))
STARTED_WITHIN = 20.0  # seconds
HOST = "mx.example.org"
USERNAME, PASSWORD, TOKEN = "maya", "s3cret-s3cret", "ya29.good"

# Mail to ana@example.org is taken and thrown away; mail to relayed.example goes to the next hop; what comes back to
# desk.example.com or lamp.example goes to the desk; nobody else has a mailbox. Who may relay: who has signed in, or
# who comes from a trusted network. Of a delay they tell after a second.
_POSTFIX = """\
compatibility_level = 3.6
myhostname = {HOST}
mydestination =
mynetworks = {trusted}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
import_environment = MAIL_CONFIG LD_LIBRARY_PATH={root}/usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
alias_maps =
virtual_mailbox_domains = example.org
virtual_mailbox_maps = inline:{{ ana@example.org=ana }}
virtual_mailbox_limit = 0
virtual_transport = discard
transport_maps =
    inline:{{ relayed.example=smtp:[127.0.0.1]:{next_hop}, desk.example.com={back}:[127.0.0.1]:{desk},
    lamp.example={back}:[127.0.0.1]:{desk} }}
delay_warning_time = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
message_size_limit = 20000
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/tls.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl}
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination
smtp_dns_support_level = disabled
notify_classes =
"""
_POSTFIX_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
_EXIM = """\
primary_hostname = {HOST}
exim_path = {root}/usr/sbin/exim4
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
disable_ipv6 = true
host_lookup =
message_size_limit = 20000
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = {folder}/tls.pem
auth_advertise_hosts = *
keep_environment =
deliver_drop_privilege
acl_smtp_rcpt = check
delay_warning = 1s

begin acl
check:
  accept authenticated = *
  accept hosts = {trusted}
  deny ! domains = example.org
       message = 5.7.1 Relaying is not permitted
  deny ! local_parts = ana
       message = 5.1.1 No such user here
  accept

begin routers
onwards:
  driver = manualroute
  domains = relayed.example
  transport = onwards
  route_list = * 127.0.0.1
  self = send
back:
  driver = manualroute
  domains = desk.example.com : lamp.example
  transport = back
  route_list = * 127.0.0.1
  self = send
here:
  driver = accept
  transport = nowhere

begin transports
onwards:
  driver = smtp
  port = {next_hop}
  allow_localhost
back:
  driver = smtp
  port = {desk}
  protocol = {back}
  allow_localhost
nowhere:
  driver = appendfile
  file = {folder}/mail/ana

begin authenticators
PLAIN:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and {{{{eq{{$auth2}}{{{USERNAME}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
LOGIN:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and {{{{eq{{$auth1}}{{{USERNAME}}}}}{{eq{{$auth2}}{{{PASSWORD}}}}}}}}}
"""


# It relays for whoever is on this machine, and tells of a delay after a second.
_OPENSMTPD = """\
listen on 127.0.0.1 port {port} hostname {HOST}
bounce warn-interval 1s
action "onwards" relay host smtp://127.0.0.1:{next_hop}
action "back" relay host {back}://127.0.0.1:{desk}
match from any for domain "relayed.example" action "onwards"
match from any for domain {{ "desk.example.com", "lamp.example" }} action "back"
"""


@dataclass(frozen=True)
class Peer:
    """A server that runs: where it listens, and where it hands mail on to."""

    name: str
    port: int
    next_hop: int
    log_folder: Path

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.log_folder.iterdir()))


def why_not(name: str) -> str:
    """Why this server cannot run here; "" where it can."""
    package = {"postfix": "postfix", "exim": "exim4-daemon-light", "opensmtpd": "opensmtpd"}[name]
    if not _program(name).exists():
        return (
            f"{name} is not here: install Debian's {package}, or unpack it and name the folder in"
            " MAIL_SERVERS"
        )
    if (
        os.geteuid() != 0
        or subprocess.run(["/usr/bin/unshare", "--mount", "/bin/true"], check=False).returncode
    ):
        return f"{name} needs root and a mount namespace"
    return ""


@contextmanager
def peer(
    name: str, identity: Identity, *, desk: int = 0, back: str = "smtp", trusted: str = "192.0.2.0/24"
) -> Iterator[Peer]:
    """The server, with this certificate. What comes back goes to port `desk`, by `back`; else to the next hop."""
    with tempfile.TemporaryDirectory(prefix=f"telltale-{name}-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # the server's users must get through
        (folder / "tls.pem").write_bytes(identity.pem)
        with _auth_service() as sasl, _free_ports(2) as (port, next_hop):
            values = {
                "HOST": HOST,
                "USERNAME": USERNAME,
                "PASSWORD": PASSWORD,
                "folder": folder,
                "root": "" if Path("/") == UNPACKED else UNPACKED,
                "port": port,
                "next_hop": next_hop,
                "sasl": sasl,
                "desk": desk or next_hop,
                "back": back,
                "trusted": trusted,
            }
            prepare = {
                "postfix": _prepare_postfix,
                "exim": _prepare_exim,
                "opensmtpd": _prepare_opensmtpd,
            }[name]
            command = prepare(folder, values)
            with _running(folder, command, port):
                yield Peer(name, port, next_hop, folder / "log")


def _program(name: str) -> Path:
    programs = {
        "postfix": "usr/lib/postfix/sbin/master",
        "exim": "usr/sbin/exim4",
        "opensmtpd": "usr/sbin/smtpd",
    }
    return UNPACKED / programs[name]


def _prepare_postfix(folder: Path, values: dict[str, object]) -> str:
    _users(folder, "postfix", "postdrop")
    (folder / "conf").mkdir()
    (folder / "conf/main.cf").write_text(_POSTFIX.format(**values))
    (folder / "conf/master.cf").write_text(_POSTFIX_SERVICES.format(**values))
    (folder / "log").mkdir()
    (folder / "data").mkdir()
    queue = "active bounce corrupt defer deferred flush hold incoming private public maildrop saved trace"
    for name in queue.split():
        (folder / "queue" / name).mkdir(parents=True)
    (folder / "queue/pid").mkdir()
    owned = "chown postfix data $(ls -d queue/* | grep -v pid); chgrp postdrop queue/public queue/maildrop"
    environment = f"LD_LIBRARY_PATH={UNPACKED}/usr/lib/postfix MAIL_CONFIG={folder}/conf"
    return f"{owned}; exec env {environment} {_program('postfix')} -c {folder}/conf -d"


def _prepare_exim(folder: Path, values: dict[str, object]) -> str:
    _users(folder, "Debian-exim")
    (folder / "exim.conf").write_text(_EXIM.format(**values))
    for name in ("spool", "log", "mail"):
        (folder / name).mkdir()
    return (
        "chown Debian-exim:Debian-exim spool log mail tls.pem;"
        f" exec {_program('exim')} -C {folder}/exim.conf -bdf -q1h"
    )


def _prepare_opensmtpd(folder: Path, values: dict[str, object]) -> str:
    """Its folders are built in: in this namespace they are new ones."""
    _users(folder, "opensmtpd", "opensmtpq")
    (folder / "smtpd.conf").write_text(_OPENSMTPD.format(**values))
    (folder / "log").mkdir()
    steps = [
        *(
            []
            if Path("/") == UNPACKED
            else [f"mount -t overlay overlay -o lowerdir={UNPACKED}/usr:/usr /usr"]
        ),
        *(f"mount -t tmpfs none {path}" for path in ("/var/spool", "/var/lib", "/run")),
        "mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd",
        "chmod 711 /var/spool/smtpd",
        f"exec smtpd -d -f {folder}/smtpd.conf > log/smtpd 2>&1",
    ]
    return " && ".join(steps)


def _users(folder: Path, *names: str) -> None:
    """Copies of /etc/passwd and /etc/group that have these users."""
    users, groups = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for number, name in enumerate(names, 64_101):
        if f"\n{name}:" not in users:
            users += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n"
        if f"\n{name}:" not in groups:
            groups += f"{name}:x:{number}:\n"
    (folder / "passwd").write_text(users)
    (folder / "group").write_text(groups)


@contextmanager
def _running(folder: Path, command: str, port: int) -> Iterator[None]:
    mounts = "mount --bind passwd /etc/passwd && mount --bind group /etc/group"
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [
                "/usr/bin/unshare",
                "--mount",
                "--propagation",
                "private",
                "/bin/sh",
                "-c",
                f"{mounts} && {{ {command}; }}",
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(process, port, folder / "output")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)


def _await(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    """Until the server greets. Nothing but its greeting tells that it is there."""
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                if connection.recv(3) == b"220":
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {output.read_text()}")


@contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    yield ports


class _AuthClient(socketserver.StreamRequestHandler):
    """What Dovecot says to a mail server that asks it for logins: its "auth-client" protocol, version 1."""

    def handle(self) -> None:
        self._say("VERSION\t1\t2", "MECH\tPLAIN\tplaintext", "MECH\tLOGIN\tplaintext", "MECH\tXOAUTH2")
        self._say("SPID\t1", "CUID\t1", f"COOKIE\t{'0' * 32}", "DONE")
        for line in self.rfile:
            match line.decode().rstrip("\n").split("\t"):
                case ["AUTH", number, mechanism, *parameters]:
                    self._begin(number, mechanism, parameters)
                case ["CONT", number, *_]:
                    self._say(f"FAIL\t{number}")

    def _begin(self, number: str, mechanism: str, parameters: list[str]) -> None:
        response = next((text[5:] for text in parameters if text.startswith("resp=")), "")
        good = {
            "PLAIN": f"\0{USERNAME}\0{PASSWORD}",
            "XOAUTH2": f"user={USERNAME}\1auth=Bearer {TOKEN}\1\1",
        }
        if b64decode(response).decode() == good.get(mechanism):
            self._say(f"OK\t{number}\tuser={USERNAME}")
        elif mechanism == "XOAUTH2":
            challenge = b64encode(b'{"status":"401"}').decode()
            self._say(f"CONT\t{number}\t{challenge}")
        else:
            self._say(f"FAIL\t{number}\tuser={USERNAME}")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\n" for line in lines).encode())


class _AuthService(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def _auth_service() -> Iterator[int]:
    """The port of a service that knows one user."""
    with _AuthService(("127.0.0.1", 0), _AuthClient) as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service.server_address[1]
        service.shutdown()
