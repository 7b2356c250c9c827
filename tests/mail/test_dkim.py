"""DKIM signatures, as an independent verifier finds them: dkimpy."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telltale.mail.dkim import Algorithm, BadKeyError, Signer, in_strings, new_key, record, signed
from telltale.mail.message import AttachedFile, InlineImage, Mail, compose

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
PEMS = {algorithm: new_key(algorithm) for algorithm in Algorithm}
MESSAGE = b"From: maya@lamp.example\r\nTo: ana@works.example\r\nSubject: Refund\r\n\r\nIt left us today.\r\n"


def signer(algorithm: Algorithm, pem: str = "") -> Signer:
    return Signer.of(
        domain="lamp.example",
        selector=algorithm.key_type,
        algorithm=algorithm,
        pem=pem or PEMS[algorithm],
    )


def by(*algorithms: Algorithm) -> list[Signer]:
    return [signer(algorithm) for algorithm in algorithms]


def look_up(name: bytes, timeout: int = 5) -> bytes:
    """Our records, as DNS would give them."""
    records = {
        f"{algorithm.key_type}._domainkey.lamp.example.": record(pem, algorithm)
        for algorithm, pem in PEMS.items()
    }
    return records[name.decode()].encode()


def is_valid(message: bytes, *, signature: int = 0) -> bool:
    """Whether its signature holds; the topmost is number 0."""
    try:
        return bool(dkim.DKIM(message).verify(idx=signature, dnsfunc=look_up))
    except dkim.ValidationError:  # the body has changed
        return False


@pytest.fixture(params=list(Algorithm))
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    algorithm: Algorithm = request.param
    return algorithm


def mail(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "sender": ("Maya Lindqvist, Lampe & Söhne", "support@lamp.example"),
        "to": [("Ana Ribeiro", "ana@works.example"), ("Zoë", "zoe@works.example")],
        "cc": [],
        "subject": "Re: Ihre Rückerstattung " + "für die sehr lange Bestellung " * 6,
        "text": "Grüße,\n.\n..\n  Maya  \t \n\n\n",
        "message_id": "<b4f2@lamp.example>",
        "date": NOW,
        "html": '<p>Grüße</p><img src="cid:logo@lamp.example">',
        "references": [f"<{number}@works.example>" for number in range(30)],
    }
    return compose(Mail(**fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        mail(),
        mail(text="", html=""),
        mail(text="\n\n\n", html=""),
        mail(text=" \t \n", html=""),
        mail(attachments=[AttachedFile("Rechnung 4711.pdf", "application/pdf", bytes(range(256)) * 40)]),
        mail(inline=[InlineImage("logo.png", "image/png", b"\x89PNG", "logo@lamp.example")]),
        mail(to=[("", "józef@works.example")], reply_to="support+4711@lamp.example"),
        mail(subject="two  blanks \t and a tab", auto_submitted="auto-replied"),
        MESSAGE,
        b"From: maya@lamp.example\r\n\r\n",
        b"From: maya@lamp.example\r\n\r\nno line end",
        b"From: maya@lamp.example\r\nsubject:\ta\r\n\t folded  line\r\nSUBJECT: twice\r\n\r\nx\r\n",
        b"From: maya@lamp.example\r\nX-Empty:\r\nTo:\r\n\r\n\r\n\r\nbehind two empty lines\r\n\r\n\r\n",
    ],
)
def test_a_verifier_finds_the_signature_good(algorithm: Algorithm, message: bytes) -> None:
    assert is_valid(signed(message, by(algorithm), now=NOW))


def test_both_keys_sign_the_same_message() -> None:
    message = signed(mail(), by(Algorithm.RSA, Algorithm.ED25519), now=NOW)

    assert is_valid(message, signature=0)
    assert is_valid(message, signature=1)


def test_without_keys_the_message_stays_as_it_is() -> None:
    assert signed(MESSAGE, [], now=NOW) is MESSAGE


def test_the_message_itself_is_not_touched(algorithm: Algorithm) -> None:
    assert signed(MESSAGE, by(algorithm), now=NOW).endswith(b"\r\n" + MESSAGE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"It left us today.", b"It left us tomorrow."),
        (b"Subject: Refund", b"Subject: No refund"),
        (b"Subject: Refund", b"Subject: Refund\r\nSubject: Another one, which some programs show"),
        (b"From: maya@lamp.example", b"From: eve@evil.example\r\nFrom: maya@lamp.example"),
        (b"To: ana@works.example", b"To: ana@works.example\r\nReply-To: eve@evil.example"),
        (b"\r\n\r\n", b"\r\nContent-Type: text/html\r\n\r\n"),
        (b"today.\r\n", b"today.\r\nAnd something that was hung on\r\n"),
    ],
)
def test_who_changes_or_adds_something_breaks_the_signature(
    algorithm: Algorithm, before: bytes, after: bytes
) -> None:
    message = signed(MESSAGE, by(algorithm), now=NOW)
    field, _, rest = message.partition(b"From: maya")

    assert not is_valid(field + (b"From: maya" + rest).replace(before, after, 1))


def test_a_server_that_folds_and_adds_fields_in_front_does_not(algorithm: Algorithm) -> None:
    message = signed(MESSAGE, by(algorithm), now=NOW)

    passed_on = b"Received: from desk\r\n" + message.replace(b"Subject: Refund", b"Subject:\r\n  Refund ")

    assert is_valid(passed_on)


def test_lines_are_short_and_end_as_on_the_wire(algorithm: Algorithm) -> None:
    header, _, _ = signed(mail(), by(algorithm), now=NOW).partition(b"From:")

    assert all(len(line) <= 78 for line in header.split(b"\r\n"))
    assert b"\n" not in header.replace(b"\r\n", b"")


def test_ed25519_signs_as_in_the_example_of_rfc_8463() -> None:
    """Appendix A.1 gives the two halves of a key."""
    private = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = Ed25519PrivateKey.from_private_bytes(private)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    public = record(pem, Algorithm.ED25519).rpartition("p=")[2]

    assert public == b64encode(key.public_key().public_bytes_raw()).decode()
    assert public == "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def test_the_record_stands_in_a_zone_file_in_pieces() -> None:
    whole = record(PEMS[Algorithm.RSA], Algorithm.RSA)

    pieces = in_strings(whole).strip('"').split('" "')

    assert whole.startswith("v=DKIM1; k=rsa; p=")
    assert "".join(pieces) == whole
    assert [len(piece) <= 255 for piece in pieces] == [True, True]


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\n", PEMS[Algorithm.ED25519]])
def test_what_is_no_key_for_the_algorithm_is_refused(pem: str) -> None:
    with pytest.raises(BadKeyError):
        Signer.of(domain="lamp.example", selector="a", algorithm=Algorithm.RSA, pem=pem)
