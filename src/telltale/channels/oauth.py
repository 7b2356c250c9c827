"""OAuth 2.0 for servers that take no passwords: Google and Microsoft 365. RFC 6749, with PKCE (RFC 7636).

An admin registers the desk at the provider and signs in once; the refresh token from that is kept, encrypted, and
buys access tokens that live an hour.

Rule: what a provider says of a failure is passed on in its words; tokens and secrets are in no text.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from telltale.smtp.auth import NoToken

SECONDS = 20.0  # until a provider has answered
LONGEST_ANSWER = 64 * 1024  # octets
LONGEST_WORDS = 500  # characters of a provider's description
EARLY = 60.0  # seconds before a token ends in which it is not used any more
USUAL_LIFE = 3_600.0  # seconds, where the provider names none


@dataclass(frozen=True, slots=True)
class Provider:
    """Where to sign in, and what for."""

    authorize: str
    token: str
    scope: str  # to send
    scope_of_imap: str  # to fetch
    extra: Mapping[str, str] = field(default_factory=dict)  # of the authorization request

    def of_tenant(self, tenant: str) -> Provider:
        """The same at one organisation; "common" is whichever the admin belongs to."""
        name = tenant or "common"
        return replace(
            self, authorize=self.authorize.format(tenant=name), token=self.token.format(tenant=name)
        )

    def for_imap(self) -> Provider:
        """The same, to fetch."""
        return replace(self, scope=self.scope_of_imap)


# https://developers.google.com/gmail/imap/xoauth2-protocol
# https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
PROVIDERS = {
    "google": Provider(
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        "https://mail.google.com/",
        "https://mail.google.com/",
        {"access_type": "offline", "prompt": "consent"},  # otherwise it gives a refresh token once only
    ),
    "microsoft": Provider(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        "offline_access https://outlook.office.com/SMTP.Send",
        "offline_access https://outlook.office.com/IMAP.AccessAsUser.All",
    ),
}


@dataclass(frozen=True, slots=True)
class Registration:
    """The admin's registration of this desk at a provider."""

    provider: Provider
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Granted:
    """What a provider gave."""

    access_token: str = field(repr=False)
    seconds: float  # that it lives
    refresh_token: str = field(repr=False)  # "" where the one that we have stays good


def authorization_url(
    registration: Registration, *, redirect: str, state: str, verifier: str, hint: str
) -> str:
    """Where the admin's browser goes to sign in. `hint` is the account that should sign in."""
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": redirect,
        "scope": registration.provider.scope,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "login_hint": hint,
        **registration.provider.extra,
    }
    return f"{registration.provider.authorize}?{urlencode(query)}"


def exchange(registration: Registration, *, code: str, redirect: str, verifier: str) -> Granted:
    """The tokens for the code that the browser came back with. Raises NoToken. Blocks; SECONDS at most."""
    return _ask(
        registration,
        grant_type="authorization_code",
        code=code,
        redirect_uri=redirect,
        code_verifier=verifier,
    )


def refresh(registration: Registration, refresh_token: str) -> Granted:
    """A new access token. Raises NoToken. Blocks; SECONDS at most."""
    return _ask(registration, grant_type="refresh_token", refresh_token=refresh_token)


def _ask(registration: Registration, **grant: str) -> Granted:
    fields = {"client_id": registration.client_id, "client_secret": registration.client_secret, **grant}
    url = registration.provider.token
    request = Request(url, urlencode(fields).encode(), {"Accept": "application/json"})  # noqa: S310  # of PROVIDERS
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            said = _json(answer.read(LONGEST_ANSWER))
    except HTTPError as refusal:
        raise NoToken(_in_words(url, refusal.code, _json(refusal.read(LONGEST_ANSWER)))) from None
    except (OSError, HTTPException) as fault:
        raise NoToken(f"{url} could not be asked: {fault}") from fault
    token, seconds = said.get("access_token"), said.get("expires_in")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise NoToken(f"{url} gave no access token")
    life = float(seconds) if isinstance(seconds, int | float) else USUAL_LIFE
    return Granted(token, life, str(said.get("refresh_token") or ""))


def _json(octets: bytes) -> dict[str, Any]:
    try:
        said = json.loads(octets)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _in_words(url: str, code: int, said: Mapping[str, Any]) -> str:
    """RFC 6749 section 5.2: "invalid_grant" and the like, and a description for people."""
    words = " ".join(str(said[name]) for name in ("error", "error_description") if said.get(name))
    visible = "".join(letter if letter.isprintable() else " " for letter in words)[:LONGEST_WORDS]
    return f"{url} answered {code}: {visible}" if visible else f"{url} answered {code}"


Renew = Callable[[], Awaitable[Granted]]


class Tokens:
    """The access tokens of this process: one for each account, renewed once however many deliveries want it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tokens: dict[object, tuple[str, float]] = {}
        self._locks: dict[object, asyncio.Lock] = {}

    async def get(self, account: object, renew: Renew, *, refused: str) -> str:
        """A token that is still good, and not the one that was just refused. Raises what `renew` raises."""
        async with self._locks.setdefault(account, asyncio.Lock()):
            token, end = self._tokens.get(account, ("", 0.0))
            if token and token != refused and self._clock() < end:
                return token
            granted = await renew()
            self._tokens[account] = (granted.access_token, self._clock() + granted.seconds - EARLY)
            return granted.access_token
