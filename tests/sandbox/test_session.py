"""A session at a sandbox server: the order of commands, what is allowed in them, and the limits. RFC 5321."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from telltale.sandbox import Sandbox
from telltale.sandbox.events import Journal, Kind
from telltale.sandbox.hosts import Greeting
from telltale.sandbox.memory import Memory
from telltale.sandbox.octets import LONGEST_LINE
from telltale.sandbox.providers import PROVIDERS
from telltale.sandbox.server import SmtpServer
from telltale.sandbox.session import MOST_ERRORS, MOST_RECIPIENTS, House
from telltale.sandbox.timings import Timings
from tests.sandbox.client import MAIL_FROM, Client, Clock, client_of
from tests.sandbox.conftest import Meet

SIZE = 1000  # octets that `small_server` takes
ANNA = "anna@postfix.sandbox.test"
BARE = b"521 5.5.2 Error: bare <CR> or <LF> received\r\n"

SmallServer = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def small_server(journal: Journal, clock: Clock) -> SmallServer:
    """A Postfix that takes messages of up to SIZE octets. `idle`: the seconds that it waits for a client."""

    @asynccontextmanager
    async def meet(*, idle: float = 300.0) -> AsyncIterator[Client]:
        postfix, timings = replace(PROVIDERS["postfix"], size=SIZE), Timings(idle=idle)
        memory = Memory(greylist=15, clock=clock)
        house = House(
            "mx.small.test", postfix, Greeting.NORMAL, timings, journal, memory, follow=lambda accepted: None
        )
        server = SmtpServer(house)
        try:
            async with client_of(await server.start()) as client:
                yield client
        finally:
            await server.stop()

    return meet


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        (["MAIL FROM:<a@lamp.example>"], "503 5.5.1 EHLO/HELO first"),
        (["EHLO desk", f"RCPT TO:<{ANNA}>"], "503 5.5.1 MAIL first"),
        (["EHLO desk", "DATA"], "503 5.5.1 RCPT first"),
        (["EHLO desk", "MAIL FROM:<>", "DATA"], "503 5.5.1 RCPT first"),
        (["EHLO desk", "MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1 Nested MAIL command"),
        (["EHLO desk", "MAIL FROM:<>", "RSET", f"RCPT TO:<{ANNA}>"], "503 5.5.1 MAIL first"),
        (["EHLO desk", "MAIL FROM:<>", "EHLO desk", f"RCPT TO:<{ANNA}>"], "503 5.5.1 MAIL first"),
        (["EHLO desk", "MAIL FROM:<>", f"RCPT TO:<{ANNA}>", "DATA now"], "501 5.5.4 Syntax: DATA"),
        (["EHLO"], "501 5.5.4 Syntax: EHLO hostname"),
        (["HELO  "], "501 5.5.4 Syntax: HELO hostname"),
        (["EHLO desk", "STARTTLS"], "502 5.5.1 Command not implemented"),
        (["EHLO desk", "AUTH PLAIN AGEAYg=="], "502 5.5.1 Command not implemented"),
        (["MAKE TEA"], "500 5.5.1 Command unrecognized"),
        ([""], "500 5.5.1 Command unrecognized"),
        (["NOOP \t"], "501 5.5.2 Syntax error, control character"),
    ],
)
async def test_a_command_out_of_order_is_refused_and_the_session_goes_on(
    meet: Meet, commands: list[str], reply: str
) -> None:
    async with meet("postfix") as client:
        await client.hear()
        replies = [await client.say(command) for command in commands]
        after = await client.say("NOOP")

    assert replies[-1] == f"{reply}\r\n".encode()
    assert after == b"250 2.0.0 Ok\r\n"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        ("FROM:<>", "250 2.1.0 Ok"),
        ("from: <maya@lamp.example>", "250 2.1.0 Ok"),
        ("FROM:<maya@lamp.example> SIZE=1000 BODY=8BITMIME", "250 2.1.0 Ok"),
        ("FROM:<@relay.example:maya@lamp.example>", "250 2.1.0 Ok"),  # RFC 5321 appendix C
        ("FROM:<maya@lamp.example> smtputf8", "250 2.1.0 Ok"),
        ("FROM:<zoë@lamp.example> SMTPUTF8", "250 2.1.0 Ok"),
        ("FROM:<zoë@lamp.example>", "553 5.6.7 Non-ASCII address without SMTPUTF8"),
        ("FROM:<maya@lamp.example> SIZE=99999999999", "552 5.3.4 Error: message file too big"),
        ("FROM:<maya@lamp.example> SIZE", "501 5.5.4 Bad message size syntax"),
        ("FROM:<maya@lamp.example> SIZE=-1", "501 5.5.4 Bad message size syntax"),
        ("FROM:<maya@lamp.example> SIZE=" + "9" * 3000, "501 5.5.4 Bad message size syntax"),
        ("FROM:<maya@lamp.example> BODY=BINARYMIME", "501 5.5.4 Unknown BODY type"),
        ("FROM:<maya@lamp.example> RET=HDRS", "555 5.5.4 Unsupported option to MAIL"),
        ("FROM:<maya>", "501 5.1.7 Syntax error in sender address: MAIL FROM:<address>"),
        ("FROM:maya@lamp.example", "501 5.1.7 Syntax error in sender address: MAIL FROM:<address>"),
        ("TO:<maya@lamp.example>", "501 5.1.7 Syntax error in sender address: MAIL FROM:<address>"),
        ("", "501 5.1.7 Syntax error in sender address: MAIL FROM:<address>"),
    ],
)
async def test_mail_is_read_as_the_standards_have_it(meet: Meet, argument: str, reply: str) -> None:
    async with meet("postfix") as client:
        await client.hello()
        assert await client.say(f"MAIL {argument}") == f"{reply}\r\n".encode()


SYNTAX_OF_RCPT = "501 5.1.3 Syntax error in recipient address: RCPT TO:<address>"


@pytest.mark.parametrize(
    ("argument", "reply"),
    [
        (f"TO:<{ANNA}>", "250 2.1.5 Ok"),
        ("TO:<anna@ribeiro.example>", "250 2.1.5 Ok"),
        ("TO:<ANNA@Postfix.Sandbox.Test>", "250 2.1.5 Ok"),
        (f"TO:<{ANNA}> NOTIFY=NEVER", "555 5.5.4 Unsupported option to RCPT"),
        ("TO:<>", SYNTAX_OF_RCPT),
        ("TO:<anna>", SYNTAX_OF_RCPT),
        (f"TO:{ANNA}", SYNTAX_OF_RCPT),
        ("TO:<an na@postfix.sandbox.test>", SYNTAX_OF_RCPT),
        ("TO:<" + "a" * 320 + "@postfix.sandbox.test>", SYNTAX_OF_RCPT),
        ("TO:<anna@gmail.com>", "554 5.7.1 <anna@gmail.com>: Relay access denied"),
        ("TO:<anna@google.sandbox.test>", "554 5.7.1 <anna@google.sandbox.test>: Relay access denied"),
        ("TO:<{host}@gmail.com>", "554 5.7.1 <{host}@gmail.com>: Relay access denied"),  # no form to fill in
    ],
)
async def test_rcpt_is_read_as_the_standards_have_it(meet: Meet, argument: str, reply: str) -> None:
    async with meet("postfix") as client:
        await client.hello()
        await client.say(f"MAIL FROM:<{MAIL_FROM}>")
        assert await client.say(f"RCPT {argument}") == f"{reply}\r\n".encode()


@pytest.mark.parametrize(
    ("provider", "parameter", "code"),
    [
        ("postfix", " SMTPUTF8", b"250"),
        ("postfix", "", b"553"),  # RFC 6531 section 3.5: only a mail that says SMTPUTF8 has such recipients
        ("yahoo", "", b"553"),
    ],
)
async def test_a_recipient_of_other_letters_needs_smtputf8(
    meet: Meet, provider: str, parameter: str, code: bytes
) -> None:
    async with meet(provider) as client:
        await client.hello()
        await client.say(f"MAIL FROM:<{MAIL_FROM}>{parameter}")
        reply = await client.say(f"RCPT TO:<zoë@{provider}.sandbox.test>")

    assert reply[:3] == code


async def test_smtputf8_is_refused_where_it_is_not_offered(meet: Meet) -> None:
    async with meet("yahoo") as client:
        await client.hello()
        reply = await client.say(f"MAIL FROM:<{MAIL_FROM}> SMTPUTF8")

    assert reply == b"555 5.5.4 Unsupported option to MAIL\r\n"


async def test_commands_that_come_together_are_answered_in_their_order(meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hello()
        batch = f"MAIL FROM:<{MAIL_FROM}>\r\nRCPT TO:<full@ribeiro.example>\r\nRCPT TO:<{ANNA}>\r\nDATA\r\n"
        await client.send(batch.encode())
        codes = [(await client.hear())[:3] for _ in range(4)]
        await client.send(b"x\r\n.\r\nNOOP\r\nQUIT\r\n")
        rest = await client.rest()

    assert codes == [b"250", b"552", b"250", b"354"]
    assert [line[:9] for line in rest.splitlines()] == [b"250 2.0.0", b"250 2.0.0", b"221 2.0.0"]


async def test_a_mail_is_kept_for_each_recipient_as_it_came(sandbox: Sandbox, meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.begin(ANNA)
        await client.say("RCPT TO:<lena@ribeiro.example>")
        await client.hand_over(b"Subject: x\r\n\r\n..\r\n..dot\r\n\xff\x00\r\n")

    for recipient in (ANNA, "LENA@ribeiro.example"):
        [mail] = sandbox.messages_for(recipient)
        assert mail.content == b"Subject: x\r\n\r\n.\r\n.dot\r\n\xff\x00\r\n"
        assert (mail.mail_from, mail.server) == (MAIL_FROM, "mx.postfix.sandbox.test")


async def test_a_client_that_leaves_within_the_content_has_sent_nothing(sandbox: Sandbox, meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.begin(ANNA)
        await client.say("DATA")
        await client.send(b"Subject: half a mail\r\n")
        assert await client.hang_up() == b""

    assert sandbox.messages_for(ANNA) == []


# Limits


async def test_the_longest_line_is_heard_and_a_longer_one_ends_the_session(meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hear()
        longest = "NOOP " + "x" * (LONGEST_LINE - len("NOOP \r\n"))
        assert await client.say(longest) == b"250 2.0.0 Ok\r\n"
        assert await client.say(longest + "x") == b"500 5.5.2 Line too long\r\n"
        assert await client.rest() == b""


async def test_a_line_that_never_ends_is_not_kept(meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hear()
        await client.send(b"x" * (LONGEST_LINE + 1))
        assert await client.rest() == b"500 5.5.2 Line too long\r\n"


@pytest.mark.parametrize("octets", [b"NOOP\n", b"NOOP \r \r\n"])
async def test_a_bare_cr_or_lf_in_a_command_ends_the_session(meet: Meet, octets: bytes) -> None:
    async with meet("postfix") as client:
        await client.hear()
        await client.send(octets)
        assert await client.rest() == BARE


@pytest.mark.parametrize("octets", [b"x\n.\nMAIL FROM:<>\r\n", b"x\r.\r\n", b"x\n.\r\nMAIL FROM:<>\r\n"])
async def test_a_bare_cr_or_lf_smuggles_no_second_mail(sandbox: Sandbox, meet: Meet, octets: bytes) -> None:
    async with meet("postfix") as client:
        await client.begin(ANNA)
        await client.say("DATA")
        await client.send(octets + b".\r\n")
        assert await client.rest() == BARE

    assert sandbox.messages_for(ANNA) == []


async def test_a_flood_of_commands_that_are_none_is_shown_out(meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hear()
        await client.send(b"SPAM\r\n" * (MOST_ERRORS + 1))
        replies = (await client.rest()).splitlines()

    assert replies == [
        *[b"500 5.5.1 Command unrecognized"] * MOST_ERRORS,
        b"421 4.7.0 mx.postfix.sandbox.test Error: too many errors",
    ]


async def test_a_flood_beyond_the_end_still_lets_the_client_read_why(meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hear()
        await client.send(b"SPAM\r\n" * 20_000)
        replies = (await client.rest()).splitlines()

    assert replies[-1] == b"421 4.7.0 mx.postfix.sandbox.test Error: too many errors"


async def test_octets_that_are_no_utf_8_are_no_command(meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hear()
        await client.send(b"NOOP \xff\r\n")
        assert await client.hear() == b"500 5.5.2 Syntax error, command is no UTF-8\r\n"


async def test_one_recipient_too_many_is_to_come_with_the_next_mail(sandbox: Sandbox, meet: Meet) -> None:
    async with meet("postfix") as client:
        await client.hello()
        await client.say(f"MAIL FROM:<{MAIL_FROM}>")
        for number in range(MOST_RECIPIENTS):
            assert (await client.say(f"RCPT TO:<a{number}@ribeiro.example>")).startswith(b"250")
        assert await client.say("RCPT TO:<last@ribeiro.example>") == b"452 4.5.3 Too many recipients\r\n"
        assert (await client.hand_over()).startswith(b"250")

    assert sandbox.messages_for("a99@ribeiro.example")
    assert not sandbox.messages_for("last@ribeiro.example")


@pytest.mark.parametrize(
    "said",
    [[], ["NOO"], ["EHLO desk", "MAIL FROM:<>", f"RCPT TO:<{ANNA}>", "DATA", "Subject: half a mail", ""]],
)
async def test_a_client_that_says_no_more_is_shown_out(small_server: SmallServer, said: list[str]) -> None:
    async with small_server(idle=0.15) as client:
        await client.send("\r\n".join(said).encode())
        replies = (await client.rest()).splitlines()

    assert replies[-1] == b"421 4.4.2 mx.small.test Error: timeout exceeded"
    assert [reply[:3] for reply in replies].count(b"354") == ("DATA" in said)


@pytest.mark.parametrize(
    ("content", "code", "kind"),
    [
        (b"x" * (SIZE - 2) + b"\r\n", b"250", Kind.ACCEPTED),
        (b"x" * (SIZE - 1) + b"\r\n", b"552", Kind.REFUSED),
        (b"", b"250", Kind.ACCEPTED),
    ],
    ids=["just right", "one octet more", "nothing"],
)
async def test_the_size_that_is_offered_is_the_size_that_is_taken(
    small_server: SmallServer, journal: Journal, content: bytes, code: bytes, kind: Kind
) -> None:
    async with small_server() as client:
        await client.begin(ANNA)
        reply = await client.hand_over(content)
        after = await client.say("NOOP")

    assert reply[:3] == code
    assert after == b"250 2.0.0 Ok\r\n"
    assert [mail.content for mail in journal.messages_for(ANNA)] == [content] * (kind is Kind.ACCEPTED)
    assert (journal.events[-1].kind, journal.events[-1].recipient) == (kind, ANNA)


async def test_content_without_an_end_is_cut_off(small_server: SmallServer, journal: Journal) -> None:
    async with small_server() as client:
        await client.begin(ANNA)
        await client.say("DATA")
        await client.send(b"x" * 100 * SIZE)
        assert await client.rest() == b"552 5.3.4 Message far too large\r\n"

    assert journal.messages_for(ANNA) == []
