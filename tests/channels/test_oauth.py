"""Access tokens: bought once, used by many, renewed when refused; a provider's refusal in its own words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from telltale.channels import oauth
from telltale.channels.oauth import PROVIDERS, Granted, Provider, Registration, Tokens
from telltale.smtp.auth import NoToken
from tests.oauth_provider import TokenEndpoint, token_endpoint

SECRET, REFRESH = "s3cret-of-the-client", "r3fresh"


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    with token_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def registration(endpoint: TokenEndpoint) -> Registration:
    return Registration(
        Provider("https://sign-in.example", endpoint.url, "mail", "fetch"), "desk-4711", SECRET
    )


def test_a_refresh_token_buys_an_access_token(endpoint: TokenEndpoint, registration: Registration) -> None:
    endpoint.answers = [(200, {"access_token": "ya29.a", "expires_in": 3599, "refresh_token": "next"})]

    granted = oauth.refresh(registration, REFRESH)

    assert granted == Granted("ya29.a", 3599, "next")
    assert endpoint.asked == [
        {
            "grant_type": "refresh_token",
            "refresh_token": REFRESH,
            "client_id": "desk-4711",
            "client_secret": SECRET,
        }
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (400, {"error": "invalid_grant", "error_description": "Token has been expired\nor revoked."}),
            "answered 400: invalid_grant Token has been expired or revoked.",
        ),
        ((401, {"error": "invalid_client"}), "answered 401: invalid_client"),
        ((503, "<html>down</html>"), "answered 503"),
        ((200, {}), "gave no access token"),
        ((200, "no JSON"), "gave no access token"),
        ((200, ["a list"]), "gave no access token"),
        ((200, {"access_token": "line\r\nbreak"}), "gave no access token"),
    ],
)
def test_a_refusal_is_told_in_the_providers_words_and_without_secrets(
    endpoint: TokenEndpoint, registration: Registration, answer: tuple[int, dict[str, str]], words: str
) -> None:
    endpoint.answers = [answer]

    with pytest.raises(NoToken) as raised:
        oauth.refresh(registration, REFRESH)

    assert str(raised.value).endswith(words)
    assert SECRET not in f"{raised.value}{registration!r}"
    assert REFRESH not in str(raised.value)


def test_a_provider_that_is_not_there_is_said_not_to_be_there() -> None:
    registration = Registration(Provider("", "http://127.0.0.1:9/token", "", ""), "desk", SECRET)

    with pytest.raises(NoToken, match="could not be asked"):
        oauth.refresh(registration, REFRESH)


def test_the_browser_is_sent_to_sign_in_with_a_challenge_and_not_the_verifier() -> None:
    registration = Registration(PROVIDERS["microsoft"].of_tenant("lamp.example"), "desk-4711", SECRET)

    url = oauth.authorization_url(
        registration,
        redirect="https://desk.example/back",
        state="st",
        verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",  # RFC 7636, appendix B
        hint="support@lamp.example",
    )

    query = parse_qs(urlsplit(url).query)
    assert url.startswith("https://login.microsoftonline.com/lamp.example/oauth2/v2.0/authorize?")
    assert query["code_challenge"] == ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"]
    assert query["scope"] == ["offline_access https://outlook.office.com/SMTP.Send"]
    assert SECRET not in url


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Provided:
    """Tokens, numbered; counts how many were asked for."""

    def __init__(self, seconds: float = 3_600) -> None:
        self.count = 0
        self._seconds = seconds

    async def __call__(self) -> Granted:
        self.count += 1
        await asyncio.sleep(0)
        return Granted(f"token {self.count}", self._seconds, "")


async def test_many_deliveries_share_one_renewal() -> None:
    tokens, renew = Tokens(), Provided()

    found = await asyncio.gather(*(tokens.get("support", renew, refused="") for _ in range(20)))

    assert set(found) == {"token 1"}


async def test_a_refused_token_is_renewed_once_for_all_that_were_refused() -> None:
    tokens, renew = Tokens(), Provided()
    first = await tokens.get("support", renew, refused="")

    found = await asyncio.gather(*(tokens.get("support", renew, refused=first) for _ in range(20)))

    assert set(found) == {"token 2"}


async def test_a_token_is_not_used_in_its_last_minute() -> None:
    clock = Clock()
    tokens, renew = Tokens(clock=clock), Provided(seconds=3_600)
    await tokens.get("support", renew, refused="")

    clock.now = 3_539
    assert await tokens.get("support", renew, refused="") == "token 1"
    clock.now = 3_541
    assert await tokens.get("support", renew, refused="") == "token 2"


async def test_accounts_do_not_share_tokens() -> None:
    tokens, renew = Tokens(), Provided()

    assert await tokens.get("support", renew, refused="") != await tokens.get("sales", renew, refused="")
