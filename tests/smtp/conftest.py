"""Sessions that end with their test, and certificates made for it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from telltale.smtp.route import Hop, Relay
from telltale.smtp.session import AttemptResult, Envelope, Sessions, Timeouts

MESSAGE = b"Subject: Your lamp\r\n\r\nIt is on its way.\r\n"
MAIL_FROM = "b-7f3a@desk.example.com"
RCPT_TO = "anna@example.org"
BRIEF = Timeouts(
    connect=2, greeting=2, hello=2, tls=2, auth=2, mail=2, rcpt=2, data=2, block=2, content=2, reset=2, quit=1
)

Send = Callable[..., Awaitable[AttemptResult]]
OpenSessions = Callable[..., Sessions]


async def nothing_to_note() -> None:
    """A `before_content` for tests that are about something else."""


@pytest_asyncio.fixture
async def open_sessions() -> AsyncIterator[OpenSessions]:
    """Makes `Sessions`, and closes them in the end."""
    opened: list[Sessions] = []

    def make(**options: Any) -> Sessions:
        settings: dict[str, Any] = {"hello": "desk.example.com", "timeouts": BRIEF}
        opened.append(Sessions(**settings | options))
        return opened[-1]

    yield make
    for sessions in opened:
        await sessions.close()


@pytest.fixture
def send(open_sessions: OpenSessions) -> Send:
    """One attempt with sessions of its own, which are closed when it has ended."""

    async def once(
        *hops: Hop,
        mail_from: str = MAIL_FROM,
        rcpt_to: str = RCPT_TO,
        message: bytes = MESSAGE,
        relay: Relay | None = None,
        before_content: Callable[[], Awaitable[None]] = nothing_to_note,
        **options: Any,
    ) -> AttemptResult:
        sessions = open_sessions(**options)
        envelope = Envelope(mail_from, rcpt_to, message)
        try:
            return await sessions.deliver(envelope, hops, before_content=before_content, relay=relay)
        finally:
            await sessions.close()

    return once


class Certificates:
    """A certificate for mx.example.org: contexts of a server that has it, and of a client that trusts it."""

    def __init__(self, folder: Path) -> None:
        path = folder / "mx.pem"
        path.write_bytes(_self_signed("mx.example.org"))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(path)
        self.trusting_client = ssl.create_default_context(cafile=str(path))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def _self_signed(host: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
