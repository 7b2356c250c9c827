"""What a domain itself says of its hosts' certificates: DANE for SMTP, RFC 7672, RFC 7671, RFC 6698.

Rule 1: a TLSA record counts only where DNSSEC has validated it and the addresses that led there.
Rule 2: where there are records, TLS is a must; a look-up that fails closes the host, it never opens it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from telltale.smtp.route import Hop, NoRoute, Resolver, look_up


class Usage(IntEnum):
    """What a record says of the certificate: RFC 7218. The two PKIX usages mean nothing to SMTP (RFC 7672, 3.1.3)."""

    TRUST_ANCHOR = 2  # DANE-TA: one in the server's chain, which vouches for the host by name
    END_ENTITY = 3  # DANE-EE: the server's own; neither its names nor its dates matter


# To check DANE-TA one must see the server's chain, and Python shows it since 3.13. RFC 7672 section 2.2 says what
# becomes of records that a client cannot use: where there is no other, TLS is a must with any certificate.
USABLE = (
    {Usage.TRUST_ANCHOR, Usage.END_ENTITY} if sys.version_info >= (3, 13) else {Usage.END_ENTITY}
)  # fmt: skip

_SELECT: dict[int, Callable[[bytes], bytes]] = {  # RFC 6698 section 2.1.2
    0: lambda certificate: certificate,
    1: lambda certificate: _public_key(certificate),
}
_MATCH: dict[int, Callable[[bytes], bytes]] = {  # RFC 6698 section 2.1.3
    0: lambda octets: octets,
    1: lambda octets: hashlib.sha256(octets).digest(),
    2: lambda octets: hashlib.sha512(octets).digest(),
}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """One TLSA record: RFC 6698 section 2.1."""

    usage: int
    selector: int
    matching_type: int
    data: bytes

    @property
    def is_usable(self) -> bool:
        return self.usage in USABLE and self.selector in _SELECT and self.matching_type in _MATCH

    def matches(self, certificate: bytes) -> bool:
        """Whether it means this certificate (DER)."""
        try:
            selected = _SELECT[self.selector](certificate)
        except ValueError:  # a certificate that cannot be read matches nothing
            return False
        return _MATCH[self.matching_type](selected) == self.data

    def __str__(self) -> str:
        return f"TLSA {self.usage} {self.selector} {self.matching_type}"


async def tlsa_records(hop: Hop, resolver: Resolver) -> tuple[Tlsa, ...] | NoRoute:
    """The records for a host that DNSSEC led to: RFC 7672 section 2.2. A NoRoute where DNS failed to say.

    We ask under the host's own name, and not under one that a CNAME would make of it.
    """
    if not hop.dnssec:
        return ()
    found = await look_up(f"_{hop.port}._tcp.{hop.host}", "TLSA", resolver)
    if isinstance(found, NoRoute):
        return found
    if not found.validated:
        return ()
    return tuple(Tlsa(record.usage, record.selector, record.mtype, record.cert) for record in found.records)


def own_certificate_named(records: Iterable[Tlsa], certificate: bytes) -> Tlsa | None:
    """The DANE-EE record that means this certificate, or None."""
    named = (record for record in records if record.is_usable and record.usage == Usage.END_ENTITY)
    return next((record for record in named if record.matches(certificate)), None)


def anchor_named(records: Iterable[Tlsa], chain: Iterable[bytes]) -> bytes:
    """The certificate in a chain that a DANE-TA record means, or b""."""
    named = [record for record in records if record.is_usable and record.usage == Usage.TRUST_ANCHOR]
    return next((one for one in chain if any(record.matches(one) for record in named)), b"")


def _public_key(certificate: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
