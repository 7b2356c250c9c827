"""Signing mail with DKIM: RFC 6376, with the algorithms of RFC 8301 and RFC 8463.

Rule 1: what is signed is what leaves: nothing changes a message behind its signature.
Rule 2: the fields that people see are signed once more than they are there, so that nobody can add another one.
Rule 3: no "l=": a signature covers the whole body, and nothing can be hung on behind it.

Why not dkimpy's signer: docs/decisions/0007-dkim.md. Its verifier reads every signature that the tests make.
Needs `cryptography`, which comes with the desk.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from textwrap import wrap

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

RSA_BITS = 2048  # RFC 8301 section 3.2; a longer key does not fit into one UDP answer
PUBLIC_EXPONENT = 65537
LONGEST_STRING = 255  # octets of one character-string of a TXT record, RFC 1035 section 3.3
LONGEST_LINE = 76

# RFC 6376 section 5.4.1, and what says where answers go, whose thread it is, and how to read it.
_SIGNED = (
    "From",
    "To",
    "Cc",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
_ONCE_MORE = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Content-Type")  # section 8.15
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_BLANKS = re.compile(rb"[ \t]+")


class Algorithm(StrEnum):
    """What stands in "a=". Ed25519 signs beside RSA and not instead: RFC 8463 section 3."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"

    @property
    def key_type(self) -> str:
        """What stands in "k=" of the record."""
        return self.value.partition("-")[0]


class BadKeyError(ValueError):
    """This is no private key that signs with the algorithm."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that is ready to sign, and where its public half is found: <selector>._domainkey.<domain>."""

    domain: str
    selector: str
    algorithm: Algorithm
    key: RSAPrivateKey | Ed25519PrivateKey

    @classmethod
    def of(cls, *, domain: str, selector: str, algorithm: Algorithm, pem: str) -> Signer:
        """Raises BadKeyError where `pem` holds no key for the algorithm."""
        return cls(domain, selector, algorithm, _loaded(pem, algorithm))

    def _signature(self, octets: bytes) -> bytes:
        if isinstance(self.key, RSAPrivateKey):
            return self.key.sign(octets, PKCS1v15(), hashes.SHA256())
        return self.key.sign(hashlib.sha256(octets).digest())  # RFC 8463 section 3

    def field(self, message: _Message, *, now: datetime) -> bytes:
        """The DKIM-Signature field with its line end."""
        unsigned = (
            f"DKIM-Signature: v=1; a={self.algorithm}; c=relaxed/relaxed; d={self.domain};\r\n"
            f" s={self.selector}; t={int(now.timestamp())};\r\n"
            f"{_names_in_lines(message.names)};\r\n bh={message.body_hash};\r\n b="
        ).encode("ascii")
        octets = message.header + _relaxed(*unsigned.split(b":", 1))
        signature = b64encode(self._signature(octets)).decode("ascii")
        return unsigned + _in_lines(signature).encode("ascii") + b"\r\n"


def signed(message: bytes, signers: Sequence[Signer], *, now: datetime) -> bytes:
    """The message with a signature of each in front. Its line ends must be CRLF, as they are on the wire."""
    if not signers:
        return message
    prepared = _Message.of(message)
    return b"".join(signer.field(prepared, now=now) for signer in signers) + message


def new_key(algorithm: Algorithm) -> str:
    """A private key in PEM."""
    key: RSAPrivateKey | Ed25519PrivateKey
    if algorithm is Algorithm.RSA:
        key = generate_private_key(PUBLIC_EXPONENT, RSA_BITS)
    else:
        key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def record(pem: str, algorithm: Algorithm) -> str:
    """What stands in DNS for this private key: RFC 6376 section 3.6.1, RFC 8463 section 4."""
    key = _loaded(pem, algorithm).public_key()
    if algorithm is Algorithm.RSA:
        octets = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        octets = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={algorithm.key_type}; p={b64encode(octets).decode('ascii')}"


def in_strings(text: str) -> str:
    """The same record as a zone file has it: quoted strings of 255 octets at most."""
    pieces = [text[at : at + LONGEST_STRING] for at in range(0, len(text), LONGEST_STRING)]
    return " ".join(f'"{piece}"' for piece in pieces)


def _loaded(pem: str, algorithm: Algorithm) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKeyError(f"this is no private key: {error}") from error
    if algorithm is Algorithm.RSA and isinstance(key, RSAPrivateKey):
        return key
    if algorithm is Algorithm.ED25519 and isinstance(key, Ed25519PrivateKey):
        return key
    raise BadKeyError(f"this key does not sign with {algorithm}")


@dataclass(frozen=True, slots=True)
class _Message:
    """What all signatures of one message share."""

    names: tuple[str, ...]  # for "h="
    header: bytes  # the fields that these name, canonical, each with its line end
    body_hash: str

    @classmethod
    def of(cls, message: bytes) -> _Message:
        header, _, body = message.partition(b"\r\n\r\n")
        fields = [(name.lower(), name, value) for name, value in _FIELD.findall(header + b"\r\n")]
        names = tuple(_names([name.decode("ascii") for name, _, _ in fields]))
        digest = hashlib.sha256(_relaxed_body(body)).digest()
        return cls(names, b"".join(_chosen(fields, names)), b64encode(digest).decode("ascii"))


def _names(there: Sequence[str]) -> Iterator[str]:
    for name in _SIGNED:
        count = there.count(name.lower())
        yield from [name] * (count + (name in _ONCE_MORE))


def _chosen(fields: list[tuple[bytes, bytes, bytes]], names: Sequence[str]) -> Iterator[bytes]:
    """Of several fields of one name the last counts first; one that is not there counts as nothing: section 5.4.2."""
    left = list(fields)
    for wanted in (name.lower().encode("ascii") for name in names):
        at = next((at for at in reversed(range(len(left))) if left[at][0] == wanted), None)
        if at is not None:
            _, name, value = left.pop(at)
            yield _relaxed(name, value) + b"\r\n"


def _relaxed(name: bytes, value: bytes) -> bytes:
    """RFC 6376 section 3.4.2, without the line end."""
    return name.strip().lower() + b":" + _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip()


def _relaxed_body(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4."""
    if b"  " in body or b"\t" in body:  # most have none, and to look is quicker than to replace
        body = _BLANKS.sub(b" ", body)
    body = (body + b"\r\n").replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


@lru_cache(maxsize=256)  # few mails of a desk differ in which fields they have
def _names_in_lines(names: tuple[str, ...]) -> str:
    """ "h=", on lines that are not too long and break no name in two."""
    lines = wrap(f"h={': '.join(names)}", LONGEST_LINE - 2, break_long_words=False, break_on_hyphens=False)
    return "\r\n".join(f" {line}" for line in lines)


def _in_lines(signature: str) -> str:
    """Blanks inside of "b=" count for nothing: section 3.5."""
    width = LONGEST_LINE - 1
    return "".join(f"\r\n {signature[at : at + width]}" for at in range(0, len(signature), width))
