"""TLS with mail hosts: taken where it is to be had, a must where the domain says so, and said as it was."""

from __future__ import annotations

import hashlib
import ssl
import sys

import pytest

from telltale.mail.report import Stage
from telltale.smtp.dane import Tlsa
from telltale.smtp.session import AttemptResult, Envelope, Outcome
from telltale.smtp.tls import OPPORTUNISTIC, Need, TlsPolicy
from tests.smtp.certificates import Identity, Workshop
from tests.smtp.conftest import MESSAGE, OpenSessions, Send, nothing_to_note, route_to
from tests.smtp.server import smtp_server

OFFERS_TLS = """
    S: 220 mx.example.org ESMTP
    C: EHLO desk.example.com
    S: 250-mx.example.org
    S: 250 STARTTLS
    C: STARTTLS
    S: 220 2.0.0 Ready
"""
TRANSACTION = """
    C: MAIL FROM:<b-7f3a@desk.example.com>
    S: 250 2.1.0 Ok
    C: RCPT TO:<anna@example.org>
    S: 250 2.1.5 Ok
    C: DATA
    S: 354 Go ahead
    C: (message)
    S: 250 2.0.0 Ok: queued as 4Zk9Qv2
"""
IN_TLS = OFFERS_TLS + "- begin TLS\nC: EHLO desk.example.com\nS: 250 mx.example.org\n" + TRANSACTION
NO_TLS = "S: 220 mx.example.org ESMTP\nC: EHLO desk.example.com\nS: 250 mx.example.org\n"
IN_CLEAR = OFFERS_TLS.partition("C: STARTTLS")[0] + TRANSACTION
FAILED_TLS = OFFERS_TLS + "- fail at TLS"

STS = TlsPolicy(Need.VERIFIED, "the MTA-STS policy of example.org asks for it")
ENCRYPTED = TlsPolicy(Need.ENCRYPTED, "its TLSA records (DANE) ask for TLS")


def words_of(result: AttemptResult) -> str:
    return "\n".join(line.text for line in result.transcript)


def dane(*records: Tlsa) -> TlsPolicy:
    return TlsPolicy(
        Need.DANE, "its TLSA records (DANE) ask for TLS with a certificate that they name", records
    )


async def test_a_trusted_certificate_is_said_to_be_verified(send: Send, certificates: Workshop) -> None:
    async with smtp_server(IN_TLS, tls=certificates.server(certificates.good)) as server:
        result = await send(server.hop(), tls_context=certificates.client)

    assert result.outcome is Outcome.ACCEPTED
    assert (result.tls_version, result.tls_verified) == ("TLS 1.3", True)
    assert result.tls_verification == "for mx.example.org by an authority"
    assert result.tls_cipher.startswith("TLS_")
    assert f"TLS 1.3 ({result.tls_cipher}), certificate verified for mx.example.org" in words_of(result)


def _expired(workshop: Workshop) -> Identity:
    return workshop.signed("mx.example.org", days_left=-1)


def _of_another_host(workshop: Workshop) -> Identity:
    return workshop.signed("mx.elsewhere.example")


def _self_signed(workshop: Workshop) -> Identity:
    return workshop.self_signed("mx.example.org")


UNTRUSTED = pytest.mark.parametrize(
    ("make", "why"),
    [
        (_expired, "certificate has expired"),
        (_of_another_host, "Hostname mismatch, certificate is not valid for 'mx.example.org'."),
        (_self_signed, "self-signed certificate"),
    ],
)


@UNTRUSTED
async def test_an_untrusted_certificate_still_encrypts_and_the_reason_is_kept(
    send: Send, certificates: Workshop, make, why: str
) -> None:
    tls = certificates.server(make(certificates))
    async with smtp_server(FAILED_TLS, IN_TLS, tls=tls) as server:
        result = await send(server.hop(), tls_context=certificates.client)

    assert result.outcome is Outcome.ACCEPTED
    assert (result.tls_version, result.tls_verified) == ("TLS 1.3", False)
    assert result.tls_verification == why


@UNTRUSTED
async def test_where_the_domain_asks_for_more_nothing_goes_to_an_untrusted_certificate(
    send: Send, certificates: Workshop, make, why: str
) -> None:
    tls = certificates.server(make(certificates))
    async with smtp_server(FAILED_TLS, tls=tls) as server:
        result = await send(server.hop(), tls_context=certificates.client, policy=STS)

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.STARTTLS)
    assert result.report
    assert str(result.report.status) == "4.7.5"
    assert why in result.report.diagnostic_code.text
    assert "the MTA-STS policy of example.org asks for it, so nothing was sent" in (
        result.report.diagnostic_code.text
    )


async def test_an_untrusted_host_is_remembered_for_a_while(
    open_sessions: OpenSessions, certificates: Workshop
) -> None:
    sessions = open_sessions(tls_context=certificates.client)
    envelope = Envelope("b-7f3a@desk.example.com", "anna@example.org", MESSAGE)
    tls = certificates.server(_self_signed(certificates))
    async with smtp_server(FAILED_TLS, IN_TLS + "- hang up", IN_TLS, tls=tls) as server:
        for _ in range(2):  # three connections, not four
            result = await sessions.deliver(envelope, route_to(server.hop()), before_content=nothing_to_note)
            assert (result.outcome, result.tls_verification) == (Outcome.ACCEPTED, "self-signed certificate")
        await sessions.close()


async def test_a_host_that_knows_only_an_old_tls_gets_the_mail_in_clear_and_we_say_so(
    send: Send, certificates: Workshop
) -> None:
    async with smtp_server(FAILED_TLS, IN_CLEAR, tls=_old(certificates)) as server:
        result = await send(server.hop(), tls_context=certificates.client)

    assert (result.outcome, result.tls_version, result.tls_verified) == (Outcome.ACCEPTED, "", None)
    assert "TLS failed: " in words_of(result)
    assert "connecting anew, without TLS" in words_of(result)


async def test_a_host_that_knows_only_an_old_tls_gets_nothing_where_tls_is_a_must(
    send: Send, certificates: Workshop
) -> None:
    async with smtp_server(FAILED_TLS, tls=_old(certificates)) as server:
        result = await send(server.hop(), tls_context=certificates.client, policy=ENCRYPTED)

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.STARTTLS)


def _old(workshop: Workshop) -> ssl.SSLContext:
    context = workshop.server(workshop.good)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    return context


async def test_a_handshake_that_is_cut_off_falls_back_only_where_it_may(
    send: Send, certificates: Workshop
) -> None:
    cut = OFFERS_TLS + "- hang up"
    async with smtp_server(cut, IN_CLEAR, cut) as server:
        welcome = await send(server.hop(), tls_context=certificates.client)
        must = await send(server.hop(), tls_context=certificates.client, policy=STS)

    assert welcome.outcome is Outcome.ACCEPTED
    assert (must.outcome, must.stage) == (Outcome.DELAYED, Stage.STARTTLS)


async def test_a_host_without_tls_gets_nothing_where_the_domain_asks_for_it(send: Send) -> None:
    async with smtp_server(NO_TLS) as server:
        result = await send(server.hop(), policy=STS)

    assert result.report
    assert "offers no STARTTLS, and the MTA-STS policy of example.org asks for it; nothing was sent" in (
        result.report.diagnostic_code.text
    )
    assert str(result.report.status) == "4.7.4"


async def test_a_refused_starttls_goes_on_in_clear_only_where_it_may(send: Send) -> None:
    refused = OFFERS_TLS.replace("220 2.0.0 Ready", "454 4.7.0 TLS not available")
    async with smtp_server(refused + TRANSACTION, refused) as server:
        welcome = await send(server.hop())
        must = await send(server.hop(), policy=STS)

    assert welcome.outcome is Outcome.ACCEPTED
    assert (must.outcome, str(must.reply)) == (Outcome.DELAYED, "454 4.7.0 TLS not available")


async def test_what_is_said_in_clear_behind_starttls_is_never_heard_inside(send: Send) -> None:
    """CVE-2011-0411: who sits on the line adds a reply before TLS begins."""
    injected = OFFERS_TLS.replace("Ready", "Ready\\r\\n250 STARTTLS was just a joke")
    async with smtp_server(injected + "- nothing at all") as server:
        result = await send(server.hop(), policy=STS)

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert "said in clear where TLS was to begin" in result.report.diagnostic_code.text


async def test_a_host_that_may_get_nothing_is_not_even_asked(send: Send) -> None:
    policy = TlsPolicy(Need.IMPOSSIBLE, "the MTA-STS policy of example.org does not name this host")
    async with smtp_server() as server:  # no connection is expected
        result = await send(server.hop(), policy=policy)

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert "nothing may be sent to it: the MTA-STS policy of example.org does not name this host" in (
        result.report.diagnostic_code.text
    )


async def test_where_any_certificate_will_do_tls_is_still_a_must(send: Send, certificates: Workshop) -> None:
    tls = certificates.server(_self_signed(certificates))
    async with smtp_server(IN_TLS, NO_TLS, tls=tls) as server:
        encrypted = await send(server.hop(), policy=ENCRYPTED)
        clear = await send(server.hop(), policy=ENCRYPTED)

    assert (encrypted.outcome, encrypted.tls_verified) == (Outcome.ACCEPTED, False)
    assert clear.outcome is Outcome.DELAYED


# DANE.


def _record(usage: int, selector: int, matching_type: int, identity: Identity) -> Tlsa:
    selected = identity.public_key_der if selector else identity.der
    data = {0: selected, 1: hashlib.sha256(selected).digest(), 2: hashlib.sha512(selected).digest()}
    return Tlsa(usage, selector, matching_type, data[matching_type])


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching_type", [0, 1, 2])
async def test_a_certificate_that_dns_names_is_verified_whoever_signed_it(
    send: Send, certificates: Workshop, selector: int, matching_type: int
) -> None:
    identity = certificates.self_signed(
        "whatever.example"
    )  # RFC 7671 section 5.1: names and dates say nothing
    record = _record(3, selector, matching_type, identity)
    async with smtp_server(IN_TLS, tls=certificates.server(identity)) as server:
        result = await send(server.hop(), policy=dane(record))

    assert (result.outcome, result.tls_verified) == (Outcome.ACCEPTED, True)
    assert result.tls_verification == f"for mx.example.org by DANE (TLSA 3 {selector} {matching_type})"


async def test_one_fitting_record_of_several_is_enough(send: Send, certificates: Workshop) -> None:
    identity = certificates.self_signed("mx.example.org")
    next_one = certificates.self_signed("mx.example.org")  # published before the certificate changes
    records = (_record(3, 1, 1, next_one), _record(3, 1, 1, identity), Tlsa(1, 1, 1, b"for the web"))
    async with smtp_server(IN_TLS, tls=certificates.server(identity)) as server:
        assert (await send(server.hop(), policy=dane(*records))).tls_verified


async def test_a_certificate_that_dns_does_not_name_gets_nothing_though_an_authority_signed_it(
    send: Send, certificates: Workshop
) -> None:
    record = _record(3, 1, 1, certificates.self_signed("mx.example.org"))
    script = OFFERS_TLS + "- be left at TLS"
    async with smtp_server(script, tls=certificates.server(certificates.good)) as server:
        result = await send(server.hop(), policy=dane(record), tls_context=certificates.client)

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.STARTTLS)
    assert result.report
    assert str(result.report.status) == "4.7.5"
    assert "its certificate does not fit; its TLSA records (DANE) ask for TLS" in (
        result.report.diagnostic_code.text
    )


async def test_a_host_whose_certificate_does_not_fit_leaves_the_mail_to_the_next(
    send: Send, certificates: Workshop
) -> None:
    record = _record(3, 1, 1, certificates.good)
    wrong = certificates.server(certificates.self_signed("mx.example.org"))
    right = certificates.server(certificates.good)
    async with (
        smtp_server(OFFERS_TLS + "- be left at TLS", tls=wrong) as first,
        smtp_server(IN_TLS, tls=right) as second,
    ):
        result = await send(first.hop(), second.hop("mx2.example.org"), policy=dane(record))

    assert (result.outcome, result.remote_host) == (Outcome.ACCEPTED, "mx2.example.org")


with_chain = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="Python shows a server's whole chain since 3.13: DANE-TA needs it"
)


@with_chain
async def test_an_anchor_that_dns_names_vouches_for_the_host(send: Send, certificates: Workshop) -> None:
    record = _record(2, 0, 1, certificates.authority)
    begun = OFFERS_TLS + "- be left at TLS"
    async with smtp_server(begun, IN_TLS, tls=certificates.server(certificates.good)) as server:
        result = await send(server.hop(), policy=dane(record))

    assert (result.outcome, result.tls_verified) == (Outcome.ACCEPTED, True)
    assert result.tls_verification == "for mx.example.org by DANE (trust anchor)"


@with_chain
@pytest.mark.parametrize("make", [_expired, _of_another_host])
async def test_an_anchor_does_not_vouch_for_another_name_or_an_old_certificate(
    send: Send, certificates: Workshop, make
) -> None:
    record = _record(2, 0, 1, certificates.authority)
    begun = OFFERS_TLS + "- be left at TLS"
    async with smtp_server(begun, FAILED_TLS, tls=certificates.server(make(certificates))) as server:
        result = await send(server.hop(), policy=dane(record))

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.STARTTLS)


def test_only_records_that_can_be_checked_are_usable(certificates: Workshop) -> None:
    identity = certificates.good
    assert _record(3, 1, 1, identity).is_usable
    assert _record(2, 0, 1, identity).is_usable is (sys.version_info >= (3, 13))
    for usage, selector, matching_type in ((0, 1, 1), (1, 1, 1), (3, 2, 1), (3, 1, 3), (255, 0, 0)):
        assert not Tlsa(usage, selector, matching_type, b"").is_usable
    assert not _record(3, 1, 1, identity).matches(b"no certificate")


def test_opportunistic_is_no_must() -> None:
    assert not OPPORTUNISTIC.is_mandatory
