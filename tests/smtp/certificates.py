"""Certificates made for a test: an authority, and what hosts show that it has signed, or that nobody has."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, and the certificates behind it that a server shows along."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    behind: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def public_key_der(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def pem(self) -> bytes:
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = (self.certificate, *self.behind)
        return private + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)


class Workshop:
    """Makes identities, and the contexts that go with them. One authority signs all but the self-signed ones."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = _identity("Authority of these tests", ca=True)

    @cached_property
    def client(self) -> ssl.SSLContext:
        """Trusts the authority and nobody else."""
        path = self._folder / "authority.pem"
        path.write_bytes(self.authority.certificate.public_bytes(serialization.Encoding.PEM))
        return ssl.create_default_context(cafile=str(path))

    @cached_property
    def good(self) -> Identity:
        return self.signed("mx.example.org")

    def signed(self, *hosts: str, days_left: int = 1) -> Identity:
        return _identity(*hosts, issuer=self.authority, ends=datetime.now(UTC) + days_left * DAY)

    def self_signed(self, host: str) -> Identity:
        return _identity(host)

    def server(self, identity: Identity) -> ssl.SSLContext:
        path = self._folder / f"{identity.certificate.serial_number}.pem"
        path.write_bytes(identity.pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _identity(
    *hosts: str, issuer: Identity | None = None, ends: datetime | None = None, ca: bool = False
) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    ends = ends or datetime.now(UTC) + DAY
    signer = issuer.key if issuer else key
    usage = x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - 30 * DAY)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
    )
    if not ca:  # what vouches for others has no host's name; an empty list of names is an error (RFC 5280)
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), False
        )
    certificate = builder.sign(signer, hashes.SHA256())
    return Identity(certificate, key, (issuer.certificate,) if issuer else ())
