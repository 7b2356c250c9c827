"""What goes with MAIL and RCPT, on the wire: SIZE, BODY, SMTPUTF8 and the wishes for reports."""

from __future__ import annotations

import pytest

from telltale.mail.addresses import address_of
from telltale.mail.report import Action
from telltale.smtp.dsn import DsnRequest, Notify, Returned, typed_address, xtext
from telltale.smtp.session import Outcome
from tests.smtp.conftest import Send
from tests.smtp.server import smtp_server

ENGLISH = b"Subject: Your lamp\r\n\r\nIt is on its way.\r\n"
GERMAN = "Subject: Lampe\r\n\r\nSie ist schön.\r\n".encode()
GERMAN_HEADER = "Subject: Schöne Lampe\r\n\r\nSie kommt.\r\n".encode()


def offering(*extensions: str, then: str = "") -> str:
    """A script up to the reply to EHLO, and on."""
    lines = ["250-mx.example.org", *(f"250-{extension}" for extension in extensions), "250 HELP"]
    said = "\n".join(f"S: {line}" for line in lines)
    return f"S: 220 mx.example.org ESMTP\nC: EHLO desk.example.com\n{said}\n{then}"


def taking(mail: str, rcpt: str) -> str:
    return f"""
        C: {mail}
        S: 250 2.1.0 Ok
        C: {rcpt}
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 Go ahead
        C: (message)
        S: 250 2.0.0 Ok: queued as 4Zk9Qv2
    """


async def test_a_server_with_dsn_is_told_which_reports_we_want(send: Send) -> None:
    script = offering(
        "DSN",
        then=taking(
            "MAIL FROM:<b-7f3a@desk.example.com> RET=HDRS ENVID=b-7f3a+2B1",
            "RCPT TO:<ana+lamp@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ana+2Blamp@example.org",
        ),
    )
    async with smtp_server(script) as server:
        result = await send(server.hop(), rcpt_to="ana+lamp@example.org", dsn=DsnRequest("b-7f3a+1"))

    assert result.outcome is Outcome.ACCEPTED


async def test_a_server_without_dsn_is_not_asked(send: Send) -> None:
    script = offering(then=taking("MAIL FROM:<b-7f3a@desk.example.com>", "RCPT TO:<anna@example.org>"))
    async with smtp_server(script) as server:
        assert (await send(server.hop(), dsn=DsnRequest("b-7f3a"))).outcome is Outcome.ACCEPTED


async def test_the_null_sender_asks_for_no_reports_and_gives_no_id(send: Send) -> None:
    dsn = DsnRequest(notify=(), returned=Returned.WHOLE)
    script = offering(
        "DSN",
        then=taking(
            "MAIL FROM:<> RET=FULL", "RCPT TO:<anna@example.org> NOTIFY=NEVER ORCPT=rfc822;anna@example.org"
        ),
    )
    async with smtp_server(script) as server:
        assert (await send(server.hop(), mail_from="", dsn=dsn)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("address", "typed"),
    [
        ("anna@example.org", "rfc822;anna@example.org"),
        ("a+b=c@example.org", "rfc822;a+2Bb+3Dc@example.org"),
        ("süd@example.org", r"utf-8;s\x{FC}d@example.org"),
        ("日本+1@例.example", r"utf-8;\x{65E5}\x{672C}\x{2B}1@\x{4F8B}.example"),
    ],
)
def test_an_original_recipient_comes_back_as_it_was_from_its_typed_form(address: str, typed: str) -> None:
    assert typed_address(address) == typed
    assert address_of(typed.replace(";", "; ")) == address


def test_an_original_recipient_that_is_too_long_is_left_out() -> None:
    long = "=" * 200 + "@example.org"
    assert DsnRequest(notify=(Notify.FAILURE,)).rcpt_parameters(long) == ["NOTIFY=FAILURE"]


@pytest.mark.parametrize("envelope_id", ["a\r\nRSET", "ä", "a" * 101, "+" * 34])
def test_an_envelope_id_that_does_not_fit_is_refused_at_once(envelope_id: str) -> None:
    with pytest.raises(ValueError, match="envelope id"):
        DsnRequest(envelope_id)


def test_a_blank_in_an_original_recipient_does_not_end_the_parameter() -> None:
    assert typed_address('"two words"@example.org') == 'rfc822;"two+20words"@example.org'


def test_xtext_has_neither_blanks_nor_plus_nor_equals() -> None:
    assert xtext("a b+c=d") == "a+20b+2Bc+3Dd"


async def test_the_size_is_announced_with_its_line_ends(send: Send) -> None:
    message = b"Subject: x\n\nbody"
    script = offering(
        "SIZE 1000",
        then=taking("MAIL FROM:<b-7f3a@desk.example.com> SIZE=20", "RCPT TO:<anna@example.org>"),
    )
    async with smtp_server(script) as server:
        result = await send(server.hop(), message=message)

    assert server.messages == [b"Subject: x\r\n\r\nbody\r\n"]
    assert len(server.messages[0]) == result.bytes_sent == 20
    assert result.size_limit == 1000


@pytest.mark.parametrize("limit", ["", " 0", " lots", f" {'9' * 5000}"])
async def test_a_size_without_a_limit_takes_everything(send: Send, limit: str) -> None:
    script = offering(
        f"SIZE{limit}",
        then=taking("MAIL FROM:<b-7f3a@desk.example.com> SIZE=*", "RCPT TO:<anna@example.org>"),
    )
    async with smtp_server(script) as server:
        result = await send(server.hop())

    assert (result.outcome, result.size_limit) == (Outcome.ACCEPTED, None)


async def test_a_message_too_large_for_one_host_goes_to_the_next(send: Send) -> None:
    larger = offering(
        "SIZE 1000",
        then=taking("MAIL FROM:<b-7f3a@desk.example.com> SIZE=*", "RCPT TO:<anna@example.org>"),
    )
    async with smtp_server(offering("SIZE 20")) as small, smtp_server(larger) as large:
        result = await send(small.hop("small.example.org"), large.hop("large.example.org"))

    assert (result.outcome, result.remote_host) == (Outcome.ACCEPTED, "large.example.org")


async def test_a_message_too_large_for_one_host_may_fit_the_one_that_is_down(send: Send) -> None:
    dead = smtp_server()
    async with dead as gone:
        hop = gone.hop("down.example.org")
    async with smtp_server(offering("SIZE 20")) as small:
        result = await send(small.hop("small.example.org"), hop)

    assert result.outcome is Outcome.DELAYED
    assert result.report
    assert result.report.action is Action.DELAYED
    assert "takes messages of up to 20 octets, and this one has 41" in result.report.diagnostic_code.text


async def test_eight_bit_content_is_announced(send: Send) -> None:
    script = offering(
        "8BITMIME",
        then=taking("MAIL FROM:<b-7f3a@desk.example.com> BODY=8BITMIME", "RCPT TO:<anna@example.org>"),
    )
    async with smtp_server(script) as server:
        assert (await send(server.hop(), message=GERMAN)).outcome is Outcome.ACCEPTED
    assert server.messages == [GERMAN]


async def test_eight_bit_content_is_not_sent_where_only_seven_bits_are_taken(send: Send) -> None:
    async with smtp_server(offering()) as server:
        result = await send(server.hop(), message=GERMAN)

    assert (result.outcome, result.bytes_sent) == (Outcome.FAILED, 0)
    assert result.report
    assert str(result.report.status) == "5.6.3"
    assert "takes only 7-bit messages" in result.report.diagnostic_code.text


@pytest.mark.parametrize(
    ("rcpt_to", "message"), [("süd@example.org", ENGLISH), ("anna@example.org", GERMAN_HEADER)]
)
async def test_an_internationalised_message_says_so(send: Send, rcpt_to: str, message: bytes) -> None:
    body = "" if message.isascii() else "BODY=8BITMIME "
    script = offering(
        "SMTPUTF8",
        "8BITMIME",
        then=taking(f"MAIL FROM:<b-7f3a@desk.example.com> {body}SMTPUTF8", f"RCPT TO:<{rcpt_to}>"),
    )
    async with smtp_server(script) as server:
        assert (await send(server.hop(), rcpt_to=rcpt_to, message=message)).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("rcpt_to", "message", "words"),
    [
        ("süd@example.org", ENGLISH, "cannot take the address süd@example.org: it offers no SMTPUTF8"),
        ("anna@example.org", GERMAN_HEADER, "cannot take a header with letters outside ASCII"),
    ],
)
async def test_a_host_that_knows_only_ascii_gets_no_internationalised_message(
    send: Send, rcpt_to: str, message: bytes, words: str
) -> None:
    async with smtp_server(offering("8BITMIME")) as server:
        result = await send(server.hop(), rcpt_to=rcpt_to, message=message)

    assert result.outcome is Outcome.FAILED
    assert result.report
    assert str(result.report.status) == "5.6.7"
    assert words in result.report.diagnostic_code.text


async def test_only_the_domain_is_foreign_so_every_server_takes_the_address(send: Send) -> None:
    script = offering(
        then=taking("MAIL FROM:<b-7f3a@desk.example.com>", "RCPT TO:<anna@xn--bcher-kva.example>")
    )
    async with smtp_server(script) as server:
        assert (await send(server.hop(), rcpt_to="anna@bücher.example")).outcome is Outcome.ACCEPTED
