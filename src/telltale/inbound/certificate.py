"""The certificate of the SMTP door: the one that was set, read anew when it is renewed, else one of our own making.

Between mail servers TLS is opportunistic (RFC 7435): most do not check the name, so a certificate of our own
making hides the mail from who listens on the way, as Debian's Postfix and Exim do it from the start.
"""

from __future__ import annotations

import logging
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=3650)

logger = logging.getLogger(__name__)


class Certificate:
    """A certificate and its key, in two files of PEM."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OSError or ssl.SSLError where they cannot be read or do not fit each other."""
        self._files = (certificate, key)
        self._read_at = self._changed_at()
        self._context = _context(*self._files)

    @property
    def context(self) -> ssl.SSLContext:
        """For the next session. What was renewed is read; where that fails, the last good one goes on."""
        try:
            if (changed_at := self._changed_at()) != self._read_at:
                self._read_at = changed_at  # one complaint for each change, not for each session
                self._context = _context(*self._files)
                logger.info("read the certificate in %s anew", self._files[0])
        except (OSError, ssl.SSLError) as error:
            logger.error("the certificate in %s cannot be read: %s", self._files[0], error)  # noqa: TRY400
        return self._context

    def _changed_at(self) -> tuple[float, ...]:
        return tuple(file.stat().st_mtime for file in self._files)


def own_certificate(folder: Path, *, name: str) -> Certificate:
    """The one of our own making, made at the first call."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not (certificate.exists() and key.exists()):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(certificate, key, name)
    return Certificate(certificate, key)


def _make(certificate: Path, key: Path, name: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    unfinished = key.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
    unfinished.rename(key)
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.load_cert_chain(certificate, key)
    return context
