"""Dovecot as Debian builds it, for a test: on loopback ports, with files and users of its own.

It is taken from this machine, or from the folder in MAIL_SERVERS into which its packages have been unpacked
(`dpkg-deb -x dovecot-core…deb dovecot-imapd…deb`). It has the paths of its files built in, so the folder is laid over
/usr, in a mount namespace where /etc/passwd has the users that its package would make.
"""

from __future__ import annotations

import hashlib
import hmac
import imaplib
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.smtp.certificates import Workshop
from tests.smtp.peers import UNPACKED, _free_ports, _users

HOST = "localhost"
USERNAME, PASSWORD = "support@lamp.example", "s3cret-s3cret"
SECRET_OF_TOKENS = b"a key that Dovecot and the giver of tokens share"
STARTED_WITHIN = 20.0  # seconds

_CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/tls.pem
ssl_key = <{folder}/tls.pem
disable_plaintext_auth = {needs_tls}
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovenull
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u:LAYOUT=fs
mail_max_userip_connections = 50
auth_mechanisms = plain xoauth2
auth_failure_delay = 0
imap_capability = {capability}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain
  args = scheme=plain {folder}/users
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
}}
"""
_OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = sub
"""


@dataclass(frozen=True)
class Dovecot:
    """A server that runs, and one account on it."""

    port: int
    tls_port: int
    folder: Path

    @contextmanager
    def session(self, password: str = PASSWORD) -> Iterator[imaplib.IMAP4]:
        """Somebody else's session with the account, to look and to change things."""
        client = imaplib.IMAP4(HOST, self.port)
        try:
            client.starttls(_unchecked())
            client.authenticate("PLAIN", lambda _: f"\0{USERNAME}\0{password}".encode())
            yield client
        finally:
            with suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def deliver(self, content: bytes, folder: str = "INBOX", *, is_read: bool = False) -> None:
        with self.session() as client:
            code, said = client.append(folder, r"(\Seen)" if is_read else "", "", content)  # type: ignore[arg-type]
            assert code == "OK", said

    def unread(self, folder: str = "INBOX") -> int:
        with self.session() as client:
            client.select(folder, readonly=True)
            return len(client.search(None, "UNSEEN")[1][0].split())

    def set_password(self, password: str) -> None:
        """Returns when it counts: the server looks at its file once a second."""
        self.write_password(password)
        deadline = time.monotonic() + STARTED_WITHIN
        while not self._lets_in(password):
            assert time.monotonic() < deadline, "the new password does not count"
            time.sleep(0.1)

    def write_password(self, password: str) -> None:
        (self.folder / "users").write_text(f"{USERNAME}:{{PLAIN}}{password}\n")

    def _lets_in(self, password: str) -> bool:
        try:
            with self.session(password):
                return True
        except (OSError, imaplib.IMAP4.error):
            return False

    def forget_uids(self) -> None:
        """Give the folder a new UIDVALIDITY, as after a move to another server."""
        for path in (self.folder / "mail" / USERNAME).glob("dovecot*"):
            path.unlink() if path.is_file() else shutil.rmtree(path)
        time.sleep(1.1)  # it takes the time in seconds for the new one

    def log(self) -> str:
        return (self.folder / "log").read_text()


def token(user: str = USERNAME, *, lives: float = 3_600) -> str:
    """An access token that Dovecot takes: RFC 7519, signed with HMAC."""
    head, body = {"alg": "HS256", "typ": "JWT"}, {"sub": user, "exp": int(time.time() + lives)}
    signed = ".".join(
        urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, body)
    )
    signature = hmac.new(SECRET_OF_TOKENS, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def why_not() -> str:
    """Why it cannot run here; "" where it can."""
    if not (UNPACKED / "usr/sbin/dovecot").exists():
        return "dovecot is not here: install Debian's dovecot-imapd, or unpack it and name the folder in MAIL_SERVERS"
    overlay = _overlay() or "true"
    command = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", overlay]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        return "dovecot needs root and a mount namespace with an overlay"
    return ""


def _overlay() -> str:
    return "" if Path("/") == UNPACKED else f"mount -t overlay overlay -o lowerdir={UNPACKED}/usr:/usr /usr"


@contextmanager
def dovecot(workshop: Workshop, *, can_idle: bool = True, needs_tls: bool = True) -> Iterator[Dovecot]:
    """The server, with a certificate of this workshop for 127.0.0.1."""
    with tempfile.TemporaryDirectory(prefix="telltale-dovecot-") as temporary, _free_ports(2) as ports:
        folder = Path(temporary)
        folder.chmod(0o755)
        _write(folder, workshop, ports, can_idle=can_idle, needs_tls=needs_tls)
        server = Dovecot(*ports, folder)
        server.write_password(PASSWORD)
        with _running(server):
            yield server


def _write(folder: Path, workshop: Workshop, ports: list[int], *, can_idle: bool, needs_tls: bool) -> None:
    _users(folder, "dovecot", "dovenull", "vmail")
    (folder / "tls.pem").write_bytes(workshop.signed(HOST).pem)
    values = {
        "folder": folder,
        "port": ports[0],
        "tls_port": ports[1],
        "needs_tls": "yes" if needs_tls else "no",
        "capability": "" if can_idle else "IMAP4rev1 SASL-IR AUTH=PLAIN STARTTLS UIDPLUS",
    }
    (folder / "dovecot.conf").write_text(_CONFIG.format(**values))
    (folder / "oauth2.conf").write_text(_OAUTH2.format(**values))
    key = folder / "keys/default/HS256/default"
    key.parent.mkdir(parents=True)
    key.write_bytes(b64encode(SECRET_OF_TOKENS))
    for name in ("run", "state", "mail"):
        (folder / name).mkdir()


@contextmanager
def _running(server: Dovecot) -> Iterator[None]:
    prepare = [
        _overlay(),
        "mount --bind passwd /etc/passwd",
        "mount --bind group /etc/group",
        "chown vmail:vmail mail",
    ]
    command = " && ".join([*filter(None, prepare), f"exec dovecot -F -c {server.folder}/dovecot.conf"])
    with (server.folder / "output").open("wb") as output:
        process = subprocess.Popen(
            ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", command],
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(process, server)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)


def _await(process: subprocess.Popen[bytes], server: Dovecot) -> None:
    """Until it lets the user in. Nothing but that tells that it is there."""
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if server._lets_in(PASSWORD):
            return
        time.sleep(0.05)
    log = server.folder / "log"
    raise RuntimeError(
        f"dovecot did not start: {(server.folder / 'output').read_text()}{log.read_text() if log.exists() else ''}"
    )


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
