"""What each provider's server says at each step, octet for octet."""

from __future__ import annotations

import re

import pytest

from telltale.mail.reply import SmtpReply
from telltale.mail.report import Stage
from telltale.sandbox import Sandbox
from telltale.sandbox.hosts import PROVIDER_DOMAINS
from telltale.sandbox.providers import PROVIDERS
from telltale.sandbox.scenarios import SCENARIOS, Manner
from tests.sandbox.client import MAIL_FROM, Client
from tests.sandbox.conftest import Meet

WORDS_OF_THE_MOMENT = {
    "client": r"127\.0\.0\.1",
    "seconds": "15",
    "session": r"\S+(?: \S+)*",  # Microsoft's and Yahoo's have blanks
    "domain": re.escape("lamp.example"),
    "mail_from": re.escape(MAIL_FROM),
}

# The course of a mail that is accepted; "*" stands for words that differ each time.
COURSES = {
    "google": """
        220 mx.google.sandbox.test ESMTP * - gsmtp
        250 2.1.0 OK * - gsmtp
        250 2.1.5 OK * - gsmtp
        354 Go ahead * - gsmtp
        250 2.0.0 OK  * * - gsmtp
        250 2.1.5 Flushed * - gsmtp
        221 2.0.0 closing connection * - gsmtp
    """,
    "microsoft": """
        220 mx.microsoft.sandbox.test Microsoft ESMTP MAIL Service ready [* * *]
        250 2.1.0 Sender OK
        250 2.1.5 Recipient OK
        354 Start mail input; end with <CRLF>.<CRLF>
        250 2.6.0 <*@mx.microsoft.sandbox.test> [InternalId=*, Hostname=*] 3 bytes in * Queued mail for delivery
        250 2.0.0 Resetting
        221 2.0.0 Service closing transmission channel
    """,
    "yahoo": """
        220 mx.yahoo.sandbox.test ESMTP ready
        250 sender <b-7f3a@lamp.example> ok
        250 recipient <anna@yahoo.sandbox.test> ok
        354 go ahead
        250 ok dirdel *
        250 2.0.0 Ok
        221 mx.yahoo.sandbox.test
    """,
    "apple": """
        220 mx.apple.sandbox.test ESMTP Postfix
        250 2.1.0 Ok
        250 2.1.5 Ok
        354 End data with <CR><LF>.<CR><LF>
        250 2.0.0 Ok: queued as *
        250 2.0.0 Ok
        221 2.0.0 Bye
    """,
    "postfix": """
        220 mx.postfix.sandbox.test ESMTP Postfix (Debian/GNU)
        250 2.1.0 Ok
        250 2.1.5 Ok
        354 End data with <CR><LF>.<CR><LF>
        250 2.0.0 Ok: queued as *
        250 2.0.0 Ok
        221 2.0.0 Bye
    """,
}


@pytest.mark.parametrize("provider", COURSES)
async def test_a_mail_that_is_accepted_takes_the_provider_s_course(meet: Meet, provider: str) -> None:
    async with meet(provider) as client:
        said = [await client.hear()]
        await client.say("EHLO desk.lamp.example")
        said += [
            await client.say(f"MAIL FROM:<{MAIL_FROM}>"),
            await client.say(f"RCPT TO:<anna@{provider}.sandbox.test>"),
            await client.say("DATA"),
            await client.say("x\r\n."),
            await client.say("RSET"),
            await client.say("QUIT"),
        ]
        rest = await client.rest()

    for octets, expected in zip(said, COURSES[provider].strip().splitlines(), strict=True):
        pattern = re.escape(expected.strip()).replace(r"\*", r"[^\]>\r]+?") + "\r\n"
        assert re.fullmatch(pattern, octets.decode()), f"expected {expected.strip()!r}, heard {octets!r}"
    assert rest == b""


@pytest.mark.parametrize("provider", PROVIDER_DOMAINS)
async def test_ehlo_offers_what_the_server_keeps(meet: Meet, provider: str) -> None:
    async with meet(provider) as client:
        lines = (await client.hello()).decode().split("\r\n")

    offers = [f"SIZE {PROVIDERS[provider].size}", "8BITMIME", "ENHANCEDSTATUSCODES", "PIPELINING"]
    offers += ["SMTPUTF8"] if PROVIDERS[provider].smtputf8 else []
    assert lines[0] == f"250-mx.{provider}.sandbox.test at your service, [127.0.0.1]"
    assert lines[1:] == [*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}", ""]


async def test_each_line_of_a_long_refusal_carries_its_code(meet: Meet) -> None:
    async with meet("google") as client:
        said = await client.begin("no-such-user@google.sandbox.test")

    assert re.fullmatch(
        rb"550-5\.1\.1 The email account that you tried to reach does not exist\. Please try\r\n"
        rb"550-5\.1\.1 double-checking the recipient's email address for typos or\r\n"
        rb"550-5\.1\.1 unnecessary spaces\. For more information, go to\r\n"
        rb"550 5\.1\.1  https://support\.google\.com/mail/\?p=NoSuchUser \S+ - gsmtp\r\n",
        said,
    )


async def test_an_empty_line_within_a_refusal_stays_an_empty_line(meet: Meet) -> None:
    async with meet("google") as client:
        said = await client.deliver("auth@gmail.example")

    assert re.fullmatch(
        rb"550-5\.7\.26 Your email has been blocked because the sender is unauthenticated\.\r\n"
        rb"550-5\.7\.26 Gmail requires all senders to authenticate with either SPF or DKIM\.\r\n"
        rb"550-5\.7\.26\r\n"
        rb"550-5\.7\.26  Authentication results:\r\n"
        rb"550-5\.7\.26  DKIM = did not pass\r\n"
        rb"550-5\.7\.26  SPF \[lamp\.example\] with ip: \[127\.0\.0\.1\] = did not pass\r\n"
        rb"550-5\.7\.26\r\n"
        rb"550-5\.7\.26  For instructions on setting up authentication, go to\r\n"
        rb"550 5\.7\.26  https://support\.google\.com/mail/answer/81126#authentication \S+ - gsmtp\r\n",
        said,
    )


async def test_a_refusal_of_the_session_closes_the_connection_behind_its_last_line(meet: Meet) -> None:
    async with meet("google") as client:
        said = await client.begin("rate-limited@google.sandbox.test")
        rest = await client.rest()

    assert [line[:11] for line in said.split(b"\r\n")] == [b"421-4.7.28 "] * 5 + [b"421 4.7.28 ", b""]
    assert b"421-4.7.28 from your SPF domain [lamp.example      35]. To protect our users from\r\n" in said
    assert rest == b""


@pytest.mark.parametrize(
    ("provider", "scenario"),
    [
        (provider, scenario)
        for provider in PROVIDER_DOMAINS
        for scenario in SCENARIOS
        if scenario.manner in (Manner.REFUSE, Manner.REFUSE_TWICE, Manner.GREYLIST)
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
async def test_each_refusal_is_said_at_its_stage_in_the_words_of_the_table(
    sandbox: Sandbox, meet: Meet, provider: str, scenario
) -> None:
    recipient = f"{scenario.name}@{provider}.sandbox.test"
    async with meet(provider) as client:
        said = await refused_at(scenario.stage, client, recipient)

    assert re.fullmatch(_pattern(PROVIDERS[provider].words_for(scenario.name), recipient), said.decode())
    _assert_is_one_reply(said)
    heard = await sandbox.wait_for("refused", recipient=recipient)
    assert heard.server == f"mx.{provider}.sandbox.test"
    assert heard.detail.replace("\n", "\r\n") + "\r\n" == said.decode()


async def refused_at(stage: Stage, client: Client, recipient: str) -> bytes:
    """The reply at this stage, where all before it went well."""
    reply = await client.begin(recipient)
    if stage is Stage.RCPT:
        return reply
    assert reply.startswith(b"250")
    return await client.say("DATA") if stage is Stage.DATA else await client.hand_over()


def _pattern(words: str, recipient: str) -> str:
    moment = WORDS_OF_THE_MOMENT | {
        "recipient": re.escape(recipient),
        "recipient_domain": re.escape(recipient.partition("@")[2]),
        "host": re.escape("mx." + recipient.partition("@")[2]),
    }
    pieces = re.split(r"\{(\w+)\}", words.replace("\n", "\r\n") + "\r\n")
    return "".join(moment[piece] if number % 2 else re.escape(piece) for number, piece in enumerate(pieces))


def _assert_is_one_reply(octets: bytes) -> None:
    """RFC 5321 section 4.2.1: one code on all lines, "-" behind it on all but the last."""
    reply = SmtpReply.from_wire(octets)
    assert octets.isascii()
    assert octets.count(b"\n") == octets.count(b"\r\n") == len(reply.lines)
    assert {line[:3] for line in reply.lines} == {str(reply.code)}
    assert {line[3:4] for line in reply.lines[:-1]} <= {"-"}
    assert reply.lines[-1][3] == " "
