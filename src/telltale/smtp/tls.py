"""What a connection must be, what it came to, and how to get there: TLS with mail hosts and relays.

Rule 1: where TLS is a must, nothing is sent without it, and nothing to a certificate that does not fit.
Rule 2: where it is none, an unknown certificate is better than none, and mail in clear is better than no mail
(RFC 7435): but what it came to is said as it was.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from telltale.smtp.dane import Tlsa
from telltale.smtp.route import Hop, Relay, Security

UNTRUSTED_FOR = 3600.0  # seconds for which we remember that a host's certificate cannot be verified
MOST_UNTRUSTED = 10_000


class Need(StrEnum):
    """What must be true of a connection before mail goes over it."""

    NOTHING = "nothing"  # in clear: a relay on a line of our own
    OPPORTUNISTIC = "opportunistic"  # TLS where it is to be had, with any certificate: RFC 7435
    ENCRYPTED = "encrypted"  # TLS, with any certificate
    VERIFIED = "verified"  # TLS, and an authority that this machine trusts vouches for the host's name
    DANE = "dane"  # TLS, and the certificate is the one that DNS names
    IMPOSSIBLE = "impossible"  # nothing may be sent there at all


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What one host's connection must be. `because` ends the sentence "offers no TLS, and …"."""

    need: Need
    because: str = ""
    tlsa: tuple[Tlsa, ...] = ()

    @property
    def is_mandatory(self) -> bool:
        return self.need not in (Need.NOTHING, Need.OPPORTUNISTIC)

    @classmethod
    def of_relay(cls, relay: Relay) -> TlsPolicy:
        if relay.security is Security.NONE:
            return cls(Need.NOTHING)
        return cls(Need.VERIFIED, "the set-up of this relay asks for TLS")


OPPORTUNISTIC = TlsPolicy(Need.OPPORTUNISTIC)


class Handshake(StrEnum):
    """How one connection goes about TLS."""

    VERIFYING = "verifying"  # the machine's authorities must vouch for the host's name
    ANY = "any"  # encrypt, to whomever; then see whose certificate it was
    ANCHORED = "anchored"  # one certificate must vouch for the host's name: DANE-TA
    NONE = "none"  # stay in clear


@dataclass(frozen=True, slots=True)
class Step:
    """One try at TLS. `why` says why a better one is not tried; `anchor` is for ANCHORED, in DER."""

    handshake: Handshake
    why: str = ""
    anchor: bytes = b""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What TLS a connection has. `verification` says by whom the certificate is vouched for, or why by nobody."""

    version: str  # "TLS 1.3"
    cipher: str  # "TLS_AES_256_GCM_SHA384"
    verified: bool
    verification: str  # "for mx.example.org by a certificate authority"; "self-signed certificate"

    @classmethod
    def of(cls, session: ssl.SSLObject, *, verified: bool, verification: str) -> TlsFacts:
        version = str(session.version()).replace("TLSv", "TLS ")
        cipher = session.cipher()
        return cls(version, cipher[0] if cipher else "", verified, verification)

    def __str__(self) -> str:
        trust = "verified" if self.verified else "not verified:"
        return f"{self.version} ({self.cipher}), certificate {trust} {self.verification}"


class Trust:
    """The contexts for each kind of handshake. `authorities` verifies certificates; by default the system's."""

    def __init__(self, authorities: ssl.SSLContext | None = None) -> None:
        self._verifying = authorities or ssl.create_default_context()
        self._any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._any.check_hostname = False
        self._any.verify_mode = ssl.CERT_NONE

    def context(self, step: Step) -> ssl.SSLContext:
        match step.handshake:
            case Handshake.ANY:
                return self._any
            case Handshake.ANCHORED:
                return _anchored(step.anchor)
        return self._verifying


def _anchored(anchor: bytes) -> ssl.SSLContext:
    """Trusts one certificate, be it a root or not: RFC 7671 section 5.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=anchor)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class Ladder:
    """Which step to try first at a host, and which next where a step failed. Remembers whom nobody vouches for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._untrusted: dict[Hop, tuple[float, str]] = {}  # until when, and why

    def first(self, hop: Hop, policy: TlsPolicy) -> Step:
        match policy.need:
            case Need.NOTHING:
                return Step(Handshake.NONE)
            case Need.ENCRYPTED:
                return Step(Handshake.ANY, policy.because)
            case Need.DANE:
                return Step(Handshake.ANY)
            case Need.OPPORTUNISTIC:
                return self._as_far_as_known(hop)
        return Step(Handshake.VERIFYING)

    def next(
        self, hop: Hop, policy: TlsPolicy, failed: Step, *, untrusted: str, anchor: bytes
    ) -> Step | None:
        """The step behind one that failed; None where there is none to go."""
        if anchor:
            return Step(Handshake.ANCHORED, anchor=anchor)
        if policy.is_mandatory or failed.handshake is Handshake.NONE:
            return None
        if not untrusted:
            return Step(Handshake.NONE)
        if len(self._untrusted) >= MOST_UNTRUSTED:
            self._untrusted.clear()
        self._untrusted[hop] = (self._clock() + UNTRUSTED_FOR, untrusted)
        return Step(Handshake.ANY, untrusted)

    def _as_far_as_known(self, hop: Hop) -> Step:
        until, why = self._untrusted.get(hop, (0.0, ""))
        return Step(Handshake.ANY, why) if until > self._clock() else Step(Handshake.VERIFYING)
