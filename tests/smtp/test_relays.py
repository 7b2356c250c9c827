"""Through relays: signing in, and the next relay where the one before cannot be used. No secret is kept."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import replace

import pytest

from telltale.bounce import explain
from telltale.mail.report import Action, Diagnostic, Stage
from telltale.smtp.auth import AccessToken, Credentials, NoToken, OAuth2, Password
from telltale.smtp.route import Hop, NoRoute, Relay, Security
from telltale.smtp.session import AttemptResult, Outcome
from telltale.smtp.tls import TlsPolicy
from telltale.smtp.ways import Route, Way, relay_route
from tests.smtp.certificates import Workshop
from tests.smtp.conftest import Send
from tests.smtp.server import SmtpServer, smtp_server

SECRET = "s3cret-s3cret"
MAYA = Password("maya", SECRET)
HELLO = "S: 220 relay.example.org ESMTP\nC: EHLO desk.example.com\nS: 250-relay.example.org\n"
TAKEN = """
    C: MAIL FROM:<b-7f3a@desk.example.com>
    S: 250 2.1.0 Ok
    C: RCPT TO:<anna@example.org>
    S: 250 2.1.5 Ok
    C: DATA
    S: 354 Go ahead
    C: (message)
    S: 250 2.0.0 Ok: queued as 4Zk9Qv2
"""
SIGNED_IN = "S: 235 2.7.0 Welcome\n"


def way(server: SmtpServer, credentials: Credentials | None = None, host: str = "relay.example.org") -> Way:
    """A way through a relay on a line of our own."""
    relay = Relay(host, server.port, Security.NONE, credentials)
    return Way(server.hop(host), TlsPolicy.of_relay(relay), relay)


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def said(result: AttemptResult) -> str:
    return "\n".join(f"{line.who}: {line.text}" for line in result.transcript)


PLAIN = base64(f"\0maya\0{SECRET}")
BY_PLAIN = f"C: AUTH PLAIN {PLAIN}\n"
BY_LOGIN = (
    f"C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: {base64('maya')}\nS: 334 UGFzc3dvcmQ6\nC: {base64(SECRET)}\n"
)


@pytest.mark.parametrize(
    ("offer", "dialogue"),
    [
        ("AUTH LOGIN PLAIN", BY_PLAIN),
        ("AUTH LOGIN", BY_LOGIN),
        ("AUTH=LOGIN PLAIN", BY_PLAIN),  # as it was once written, and still is
    ],
)
async def test_we_sign_in_in_a_way_that_the_relay_offers(send: Send, offer: str, dialogue: str) -> None:
    script = f"{HELLO}S: 250 {offer}\n{dialogue}{SIGNED_IN}{TAKEN}"
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, MAYA),)))

    assert result.outcome is Outcome.ACCEPTED
    assert "AUTH" in said(result)
    for secret in (SECRET, PLAIN, base64(SECRET)):
        assert secret not in said(result)


async def test_a_relay_that_refuses_our_login_delays_in_its_words(send: Send) -> None:
    script = f"{HELLO}S: 250 AUTH PLAIN LOGIN\n{BY_PLAIN}S: 535 5.7.8 Error: authentication failed"
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, MAYA),)))

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.AUTH)
    assert result.report
    assert result.report.action is Action.DELAYED
    assert result.report.diagnostic_code == Diagnostic("smtp", "535 5.7.8 Error: authentication failed")
    assert "AUTH PLAIN ***" in said(result)
    assert SECRET not in said(result)


@pytest.mark.parametrize("echo", [PLAIN, SECRET])
async def test_a_relay_that_says_our_secret_back_to_us_does_not_bring_it_into_the_record(
    send: Send, echo: str
) -> None:
    script = f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}S: 535 5.7.8 Bad credentials: {echo}"
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, MAYA),)))

    assert str(result.reply) == "535 5.7.8 Bad credentials: ***"
    assert echo not in said(result)
    assert echo not in repr(result)


async def test_a_broken_answer_to_our_secret_does_not_bring_it_into_the_record(send: Send) -> None:
    script = f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}S: What is {PLAIN}?\n- nothing at all"
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, MAYA),)))

    assert result.report
    assert "said in place of the reply to AUTH: 'What is ***?'" in result.report.diagnostic_code.text
    assert PLAIN not in repr(result)


async def test_a_refused_login_is_tried_at_one_address_only(send: Send) -> None:
    """Each further try brings the account nearer to being locked."""
    script = f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}S: 535 5.7.8 No"
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, MAYA), way(server, MAYA))))

    assert str(result.reply) == "535 5.7.8 No"


async def test_a_relay_without_a_way_to_sign_in_is_named_with_what_it_offers(send: Send) -> None:
    async with smtp_server(f"{HELLO}S: 250 AUTH CRAM-MD5 GSSAPI") as server:
        result = await send(route=Route((way(server, MAYA),)))

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.AUTH)
    assert result.report
    assert "offers no way to sign in that we can go (PLAIN or LOGIN); it offers CRAM-MD5, GSSAPI" in (
        result.report.diagnostic_code.text
    )


@pytest.mark.parametrize("secret", [MAYA, Relay("relay.example.org", credentials=MAYA)])
def test_no_secret_stands_in_what_a_log_would_show(secret: object) -> None:
    assert SECRET not in repr(secret)


# OAuth 2.0.


def xoauth2(token: str) -> str:
    initial = base64(f"user=maya@example.org\1auth=Bearer {token}\1\1")
    return f"C: AUTH XOAUTH2 {initial}\n"


CHALLENGE = base64('{"status":"401","schemes":"Bearer","scope":"https://mail.google.com/"}')
REFUSED_BY_CHALLENGE = (
    f"S: 334 {CHALLENGE}\nC: \nS: 535-5.7.8 Username and Password not accepted.\nS: 535 5.7.8 x - gsmtp\n"
)
REFUSED_AT_ONCE = "S: 535 5.7.3 Authentication unsuccessful\n"


class Tokens:
    """Gives one token after another, and remembers what it was told of."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        self.refused: list[str] = []

    async def __call__(self, refused: str) -> str:
        self.refused.append(refused)
        return self._tokens.pop(0)


async def test_a_token_signs_us_in(send: Send) -> None:
    tokens = Tokens("ya29.first")
    script = f"{HELLO}S: 250 AUTH LOGIN XOAUTH2\n{xoauth2('ya29.first')}{SIGNED_IN}{TAKEN}"
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, OAuth2("maya@example.org", tokens)),)))

    assert result.outcome is Outcome.ACCEPTED
    assert tokens.refused == [""]
    assert "ya29" not in said(result)
    assert "AUTH XOAUTH2 ***" in said(result)


@pytest.mark.parametrize("refusal", [REFUSED_BY_CHALLENGE, REFUSED_AT_ONCE])
async def test_an_expired_token_is_renewed_once(send: Send, refusal: str) -> None:
    tokens = Tokens("ya29.old", "ya29.new")
    script = (
        f"{HELLO}S: 250 AUTH XOAUTH2\n{xoauth2('ya29.old')}{refusal}{xoauth2('ya29.new')}{SIGNED_IN}{TAKEN}"
    )
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, OAuth2("maya@example.org", tokens)),)))

    assert result.outcome is Outcome.ACCEPTED
    assert tokens.refused == ["", "ya29.old"]
    assert "asking for a new one" in said(result)
    assert "ya29" not in said(result)


async def test_a_new_token_that_is_refused_too_delays_in_the_relays_words(send: Send) -> None:
    tokens = Tokens("ya29.old", "ya29.new")
    script = (
        f"{HELLO}S: 250 AUTH XOAUTH2\n{xoauth2('ya29.old')}{REFUSED_AT_ONCE}"
        f"{xoauth2('ya29.new')}{REFUSED_BY_CHALLENGE}"
    )
    async with smtp_server(script) as server:
        result = await send(route=Route((way(server, OAuth2("maya@example.org", tokens)),)))

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.AUTH)
    assert str(result.reply).startswith("535-5.7.8 Username and Password not accepted.")
    assert 'that is: {"status":"401"' in said(result)


async def test_where_no_token_can_be_had_we_say_why(send: Send) -> None:
    async def revoked(refused: str) -> str:
        raise NoToken("the sign-in at Google was withdrawn (invalid_grant)")

    async with smtp_server(f"{HELLO}S: 250 AUTH XOAUTH2") as server:
        result = await send(route=Route((way(server, OAuth2("maya@example.org", revoked)),)))

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.AUTH)
    assert result.report
    assert result.report.diagnostic_code.text.endswith(
        "no access token for maya@example.org could be had: the sign-in at Google was withdrawn (invalid_grant)"
    )


def test_a_token_source_is_any_callable_with_this_shape() -> None:
    source: AccessToken = Tokens("ya29.first")
    assert OAuth2("maya@example.org", source).token is source


# Several relays.


@pytest.mark.parametrize(
    "trouble",
    [
        "- hang up",
        "S: 421 4.3.2 Maintenance",
        "S: 554 5.7.1 Not you",
        f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}S: 535 5.7.8 No",
        f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}S: 454 4.7.0 Temporary authentication failure",
        f"{HELLO}S: 250 AUTH GSSAPI",
        f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}{SIGNED_IN}C: MAIL FROM:*\n- hang up",
        f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}{SIGNED_IN}C: MAIL FROM:*\nS: 421 4.3.2 Shutting down",
    ],
)
async def test_the_next_relay_is_tried_where_the_first_cannot_be_used(send: Send, trouble: str) -> None:
    second_script = f"{HELLO}S: 250 HELP\n{TAKEN}"
    async with smtp_server(trouble) as first, smtp_server(second_script) as second:
        ways = (way(first, MAYA), way(second, host="second.example.org"))
        result = await send(route=Route(ways))

    assert (result.outcome, result.remote_host) == (Outcome.ACCEPTED, "second.example.org")


async def test_a_relay_with_a_certificate_that_nobody_vouches_for_is_passed_over(
    send: Send, certificates: Workshop
) -> None:
    tls = certificates.server(certificates.self_signed("relay.example.org"))
    first_script = f"{HELLO}S: 250 STARTTLS\nC: STARTTLS\nS: 220 Go\n- fail at TLS"
    async with (
        smtp_server(first_script, tls=tls) as first,
        smtp_server(HELLO + "S: 250 HELP" + TAKEN) as second,
    ):
        relay = Relay("relay.example.org", first.port, Security.STARTTLS, MAYA)
        ways = (Way(first.hop("relay.example.org"), TlsPolicy.of_relay(relay), relay), way(second))
        result = await send(route=Route(ways), tls_context=certificates.client)

    assert result.outcome is Outcome.ACCEPTED
    assert "its certificate is not trusted" in said(result)


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [("550 5.7.1 You may not send as this address", Outcome.FAILED), ("451 4.3.0 Later", Outcome.DELAYED)],
)
async def test_what_a_relay_says_of_the_message_is_the_answer_whatever_the_others_would_say(
    send: Send, refusal: str, outcome: Outcome
) -> None:
    script = f"{HELLO}S: 250 HELP\nC: MAIL FROM:*\nS: {refusal}"
    async with smtp_server(script) as first, smtp_server() as second:
        result = await send(route=Route((way(first), way(second))))

    assert (result.outcome, str(result.reply)) == (outcome, refusal)


async def test_where_every_relay_fails_what_one_of_them_said_is_told(send: Send) -> None:
    first_script = f"{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}S: 535 5.7.8 No"
    async with smtp_server(first_script) as first, smtp_server("- hang up") as second:
        result = await send(route=Route((way(first, MAYA), way(second, host="second.example.org"))))

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.AUTH)
    assert (str(result.reply), result.remote_host) == ("535 5.7.8 No", "relay.example.org")
    assert "second.example.org" in said(result)


async def test_a_relay_whose_name_leads_nowhere_leaves_the_mail_to_the_next() -> None:
    nowhere, here = Relay("no relay"), Relay("127.0.0.1", 2525, Security.NONE)
    route = await relay_route([nowhere, here])

    assert isinstance(route, Route)
    assert route.ways == (Way(Hop("127.0.0.1", "127.0.0.1", 2525), TlsPolicy.of_relay(here), here),)
    [found] = route.found
    assert "no relay" in found


async def test_where_no_relay_has_an_address_the_route_says_so() -> None:
    found = await relay_route([Relay("no relay"), Relay("no relay either")])

    assert isinstance(found, NoRoute)
    assert "no relay" in found.text
    assert not found.permanent


async def test_a_route_through_no_relay_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="no relay"):
        await relay_route([])


async def test_a_relay_that_must_have_tls_gets_nothing_without_it(send: Send) -> None:
    async with smtp_server(f"{HELLO}S: 250 AUTH PLAIN") as server:
        relay = Relay("relay.example.org", server.port, Security.STARTTLS, MAYA)
        result = await send(server.hop("relay.example.org"), relay=relay)

    assert (result.outcome, result.stage) == (Outcome.DELAYED, Stage.STARTTLS)
    assert result.report
    assert (
        "offers no STARTTLS, and the set-up of this relay asks for TLS" in result.report.diagnostic_code.text
    )
    assert "AUTH PLAIN" not in said(result).replace("S: 250-relay.example.org\n250 AUTH PLAIN", "")


async def test_a_relay_with_tls_from_the_first_octet(send: Send, certificates: Workshop) -> None:
    identity = certificates.signed("relay.example.org")
    script = f"- begin TLS\n{HELLO}S: 250 AUTH PLAIN\n{BY_PLAIN}{SIGNED_IN}{TAKEN}"
    async with smtp_server(script, tls=certificates.server(identity)) as server:
        relay = Relay("relay.example.org", server.port, Security.TLS, MAYA)
        result = await send(server.hop("relay.example.org"), relay=relay, tls_context=certificates.client)

    assert (result.outcome, result.tls_verified) == (Outcome.ACCEPTED, True)


def test_the_secrets_of_these_tests_are_what_they_seem() -> None:
    assert SECRET in b64decode(PLAIN).decode()


async def test_a_relay_of_ours_that_does_not_relay_for_us_does_not_know_us(send: Send) -> None:
    """Said by a stranger's server it would be about their domain."""
    relay = Relay("127.0.0.1", security=Security.NONE)
    script = """
        S: 220 relay.example.org ESMTP
        C: EHLO desk.example.com
        S: 250 relay.example.org
        C: MAIL FROM:*
        S: 250 2.1.0 Ok
        C: RCPT TO:*
        S: 554 5.7.1 Relay access denied
    """
    async with smtp_server(script) as server:
        result = await send(server.hop(), relay=relay)

    assert result.report
    assert result.report.by_own_relay
    assert explain(result.report).reason == "auth_submission"
    assert explain(replace(result.report, by_own_relay=False)).reason == "relay_denied"
