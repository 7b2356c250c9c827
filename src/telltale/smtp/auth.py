"""Signing in at a relay: AUTH, RFC 4954, with a password or with a token of OAuth 2.0 (XOAUTH2).

Rule: a secret is in no repr, no transcript and no text of a fault.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

AccessToken = Callable[[str], Awaitable[str]]
"""Gives an access token. Its argument is the token that the server has just refused, "" at first: after a refusal
a new one is wanted. Raises `NoToken` where none can be had."""


class NoToken(Exception):  # noqa: N818 - the world failed, not we
    """No access token could be had, and why, in words for the administrator. No secret belongs in them."""


@dataclass(frozen=True, slots=True)
class Password:
    """An account with a password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OAuth2:
    """An account with access tokens that expire, as Google and Microsoft 365 ask for it."""

    username: str
    token: AccessToken = field(repr=False)


Credentials = Password | OAuth2


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What we say to sign in: the first line, and the answer to each 334. All but `name` is secret."""

    name: str
    initial: str = field(default="", repr=False)
    answers: tuple[str, ...] = field(default=(), repr=False)


def password_mechanism(credentials: Password, offered: Sequence[str]) -> Mechanism | None:
    """PLAIN (RFC 4616), or LOGIN where that is all there is; None where neither is offered."""
    username, password = credentials.username, credentials.password
    if "PLAIN" in offered:
        return Mechanism("PLAIN", _base64(f"\0{username}\0{password}"))
    if "LOGIN" in offered:
        return Mechanism("LOGIN", answers=(_base64(username), _base64(password)))
    return None


def token_mechanism(username: str, token: str, offered: Sequence[str]) -> Mechanism | None:
    """XOAUTH2, as Google and Microsoft describe it; None where it is not offered.

    A refused token is answered with 334 and the reason; only our empty line brings the 535.
    """
    if "XOAUTH2" not in offered:
        return None
    return Mechanism("XOAUTH2", _base64(f"user={username}\1auth=Bearer {token}\1\1"), answers=("",))


def challenge_in_words(text: str) -> str:
    """What a server says in a 334, as text; "" where it is no base64 or nothing to read."""
    try:
        words = b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return words if words.isprintable() else ""


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
