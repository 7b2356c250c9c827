"""Postfix and Exim, the real ones, as destinations and as relays."""

from __future__ import annotations

import asyncio
import email
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.message import Message

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from telltale.mail.report import Stage
from telltale.smtp.auth import Credentials, OAuth2, Password
from telltale.smtp.dane import Tlsa
from telltale.smtp.dsn import DsnRequest
from telltale.smtp.route import Hop, Relay, Security
from telltale.smtp.session import Envelope as OurEnvelope
from telltale.smtp.session import Outcome
from telltale.smtp.tls import OPPORTUNISTIC, Need, TlsPolicy
from tests.smtp.certificates import Workshop
from tests.smtp.conftest import OpenSessions, Send, nothing_to_note, route_to
from tests.smtp.peers import HOST, PASSWORD, TOKEN, USERNAME, Peer, peer, why_not
from tests.smtp.server import smtp_server

ANA = "ana@example.org"
QUEUE_ID = {"postfix": r"[0-9A-F]{8,}", "exim": r"\w{6}-\w{6}-\w{2}"}


@pytest.fixture(scope="module", params=["postfix", "exim"])
def server(request: pytest.FixtureRequest, certificates: Workshop) -> Iterator[Peer]:
    reason = why_not(request.param)
    if reason:
        pytest.skip(reason)
    with peer(request.param, certificates.good) as running:
        yield running


def hop(server: Peer) -> Hop:
    return Hop(HOST, "127.0.0.1", server.port)


async def test_it_takes_a_mail_over_verified_tls_and_gives_its_name_for_it(
    server: Peer, send: Send, certificates: Workshop
) -> None:
    result = await send(hop(server), rcpt_to=ANA, tls_context=certificates.client, dsn=DsnRequest("b-1-2-x"))

    assert result.outcome is Outcome.ACCEPTED
    assert (result.tls_version, result.tls_verified) == ("TLS 1.3", True)
    assert result.size_limit == 20_000
    assert result.queue_id
    assert result.queue_id in server.log()


async def test_it_takes_several_mails_on_one_connection(server: Peer, open_sessions: OpenSessions) -> None:
    sessions = open_sessions()
    envelope = OurEnvelope("b-7f3a@desk.example.com", ANA, b"Subject: x\r\n\r\n.\r\n..x\r\n")
    results = [
        await sessions.deliver(envelope, route_to(hop(server)), before_content=nothing_to_note)
        for _ in range(3)
    ]

    assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 3
    assert len({result.queue_id for result in results}) == 3
    for result in results[1:]:
        assert any(line.text.startswith("using the open connection") for line in result.transcript)


async def test_it_refuses_an_unknown_recipient_in_words_that_we_keep(server: Peer, send: Send) -> None:
    result = await send(hop(server), rcpt_to="nobody@example.org")

    assert (result.outcome, result.stage) == (Outcome.FAILED, Stage.RCPT)
    assert result.report
    assert str(result.report.status) == "5.1.1"
    assert str(result.reply).partition(": ")[2].partition(";")[0] in server.log()


async def test_a_refused_recipient_leaves_the_connection_good_for_the_next(
    server: Peer, open_sessions: OpenSessions
) -> None:
    sessions = open_sessions()
    outcomes = [
        (
            await sessions.deliver(
                OurEnvelope("", rcpt_to, b"Subject: x\r\n\r\n"),
                route_to(hop(server)),
                before_content=nothing_to_note,
            )
        ).outcome
        for rcpt_to in ("nobody@example.org", ANA)
    ]

    assert outcomes == [Outcome.FAILED, Outcome.ACCEPTED]


async def test_a_mail_larger_than_it_takes_is_not_sent(server: Peer, send: Send) -> None:
    result = await send(hop(server), rcpt_to=ANA, message=b"Subject: x\r\n\r\n" + b"x\r\n" * 10_000)

    assert (result.outcome, result.bytes_sent) == (Outcome.FAILED, 0)
    assert result.report
    assert "takes messages of up to 20,000 octets, and this one has 30,014" in (
        result.report.diagnostic_code.text
    )


async def test_it_takes_an_internationalised_mail(server: Peer, send: Send) -> None:
    message = "Subject: schöne Grüße\r\n\r\nä\r\n".encode()
    result = await send(hop(server), rcpt_to=ANA, message=message)

    assert result.outcome is Outcome.ACCEPTED
    [mail_from] = [line.text for line in result.transcript if line.text.startswith("MAIL FROM")]
    assert mail_from.endswith("BODY=8BITMIME SMTPUTF8")


async def test_its_certificate_is_checked_against_dns(
    server: Peer, send: Send, certificates: Workshop
) -> None:
    right = Tlsa(3, 1, 1, hashlib.sha256(certificates.good.public_key_der).digest())
    wrong = Tlsa(3, 1, 1, bytes(32))
    dane = TlsPolicy(Need.DANE, "its TLSA records (DANE) ask for it", (right,))
    taken = await send(hop(server), rcpt_to=ANA, policy=dane)
    not_taken = await send(
        hop(server), rcpt_to=ANA, policy=TlsPolicy(Need.DANE, "its TLSA records (DANE) ask for it", (wrong,))
    )

    assert (taken.outcome, taken.tls_verified) == (Outcome.ACCEPTED, True)
    assert (not_taken.outcome, not_taken.stage) == (Outcome.DELAYED, Stage.STARTTLS)


async def test_an_unknown_authority_is_said_to_be_unknown(server: Peer, send: Send) -> None:
    result = await send(hop(server), rcpt_to=ANA, policy=OPPORTUNISTIC)

    assert (result.outcome, result.tls_verified) == (Outcome.ACCEPTED, False)
    assert result.tls_verification == "self-signed certificate in certificate chain"


@pytest.mark.parametrize("end", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r"])
async def test_it_cannot_be_made_to_see_two_mails_in_one(server: Peer, send: Send, end: bytes) -> None:
    smuggled = (
        b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n\r\nevil\r\n.\r\nQUIT\r\n"
    )
    result = await send(hop(server), rcpt_to=ANA, message=b"Subject: x\r\n\r\nbody" + end + smuggled)

    assert result.outcome is Outcome.ACCEPTED
    assert "evil@example.com" not in server.log()


# As a relay.


class NextHop:
    """Where the relay hands mail on to. It knows nobody at relayed.example but ana."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[Envelope] = asyncio.Queue()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name for it
        self, smtp: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == "nobody@relayed.example":
            return "550 5.1.1 Nobody of that name lives here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, smtp: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.put_nowait(envelope)
        return "250 2.0.0 Ok"


@asynccontextmanager
async def next_hop(server: Peer) -> AsyncIterator[NextHop]:
    handler = NextHop()
    listener = await asyncio.get_running_loop().create_server(
        lambda: SMTP(handler, hostname="next.relayed.example", enable_SMTPUTF8=False),
        "127.0.0.1",
        server.next_hop,
    )
    yield handler
    listener.close()
    await listener.wait_closed()


async def submit(
    server: Peer, send: Send, certificates: Workshop, credentials: Credentials | None, rcpt_to: str
):
    relay = Relay(HOST, server.port, Security.STARTTLS, credentials)
    return await send(
        hop(server),
        relay=relay,
        rcpt_to=rcpt_to,
        tls_context=certificates.client,
        dsn=DsnRequest(
            "b-7f3a-1"
        ),  # Exim brings an id back as it stood on the wire, so it has no "+" and no "="
    )


async def test_it_relays_for_whoever_signs_in(server: Peer, send: Send, certificates: Workshop) -> None:
    async with next_hop(server) as onwards:
        login = Password(USERNAME, PASSWORD)
        result = await submit(server, send, certificates, login, "ana@relayed.example")
        taken = await asyncio.wait_for(onwards.taken.get(), 10)

    assert (result.outcome, result.tls_verified) == (Outcome.ACCEPTED, True)
    assert (taken.mail_from, taken.rcpt_tos) == ("b-7f3a@desk.example.com", ["ana@relayed.example"])
    assert PASSWORD not in repr(result)


async def test_it_does_not_relay_for_strangers_and_that_is_final(
    server: Peer, send: Send, certificates: Workshop
) -> None:
    result = await submit(server, send, certificates, None, "ana@relayed.example")

    assert (result.outcome, result.stage) == (Outcome.FAILED, Stage.RCPT)


async def test_a_wrong_password_delays(server: Peer, send: Send, certificates: Workshop) -> None:
    result = await submit(server, send, certificates, Password(USERNAME, "wrong"), "ana@relayed.example")

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.AUTH)
    assert result.reply
    assert result.reply.code == 535


async def test_its_bounce_brings_back_our_envelope_id_and_the_address_as_we_wrote_it(
    server: Peer, send: Send, certificates: Workshop
) -> None:
    async with next_hop(server) as onwards:
        login = Password(USERNAME, PASSWORD)
        result = await submit(server, send, certificates, login, "nobody@relayed.example")
        bounce = await asyncio.wait_for(onwards.taken.get(), 10)

    assert result.outcome is Outcome.ACCEPTED
    assert bounce.rcpt_tos == ["b-7f3a@desk.example.com"]
    assert isinstance(bounce.content, bytes)
    report = _delivery_status(email.message_from_bytes(bounce.content))
    assert report["original-envelope-id"] == "b-7f3a-1"
    assert report["original-recipient"] == "rfc822;nobody@relayed.example"
    assert report["status"].startswith("5.")


async def test_it_passes_our_wishes_on_to_a_host_that_offers_dsn(
    server: Peer, send: Send, certificates: Workshop
) -> None:
    envelope, recipient = (
        ["RET=HDRS", "ENVID=b-7f3a-1"],
        ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;ana@relayed.example"],
    )
    if server.name == "postfix":  # each in its own order
        envelope.reverse()
        recipient.reverse()
    script = f"""
        S: 220 next.relayed.example ESMTP
        C: EHLO mx.example.org
        S: 250-next.relayed.example
        S: 250 DSN
        C: MAIL FROM:<b-7f3a@desk.example.com> {" ".join(envelope)}
        S: 250 Ok
        C: RCPT TO:<ana@relayed.example> {" ".join(recipient)}
        S: 250 Ok
        C: DATA
        S: 354 Go ahead
        C: (message)
        S: 250 Ok
    """
    async with smtp_server(script, port=server.next_hop) as onwards:
        login = Password(USERNAME, PASSWORD)
        result = await submit(server, send, certificates, login, "ana@relayed.example")
        await asyncio.wait_for(onwards.connected.wait(), 10)

    assert result.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("server", ["postfix"], indirect=True)
async def test_it_relays_for_a_token_that_was_renewed(
    server: Peer, send: Send, certificates: Workshop
) -> None:
    asked: list[str] = []

    async def token(refused: str) -> str:
        asked.append(refused)
        return TOKEN if refused else "ya29.expired"

    async with next_hop(server) as onwards:
        result = await submit(server, send, certificates, OAuth2(USERNAME, token), "ana@relayed.example")
        await asyncio.wait_for(onwards.taken.get(), 10)

    assert result.outcome is Outcome.ACCEPTED
    assert asked == ["", "ya29.expired"]
    assert 'that is: {"status":"401"}' in [line.text for line in result.transcript]


def _delivery_status(message: Message) -> dict[str, str]:
    """The fields of a report, of the message and of its recipient together."""
    [part] = [part for part in message.walk() if part.get_content_type() == "message/delivery-status"]
    groups = part.get_payload()
    assert isinstance(groups, list)
    return {name.lower(): str(value) for group in groups for name, value in group.items()}
