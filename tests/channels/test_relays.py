"""From what is stored to what is connected to: relays in order, and the tokens of those that take no password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from telltale.channels import oauth
from telltale.channels.relays import NoRelayError, Relays
from telltale.conversations import models
from telltale.conversations.fields import Unreadable, UnreadableError, readable
from telltale.conversations.models import Mailbox
from telltale.smtp.auth import NoToken, OAuth2, Password
from tests.conftest import leave_by_relay
from tests.oauth_provider import TokenEndpoint, token_endpoint

# A token is renewed in a thread, on a database connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(monkeypatch, mailbox) -> Iterator[TokenEndpoint]:
    with token_endpoint() as endpoint:
        provider = replace(oauth.PROVIDERS["microsoft"], token=endpoint.url)
        monkeypatch.setitem(oauth.PROVIDERS, "microsoft", provider)
        leave_by_relay(
            "smtp.office365.example",
            587,
            security="starttls",
            sign_in="microsoft",
            username="support@lamp.example",
            client_id="desk",
            client_secret="s3cret",
            refresh_token="first",
        )
        yield endpoint


def oauth_of(relays: Relays) -> OAuth2:
    [relay] = relays.of(Mailbox.objects.get())
    assert isinstance(relay.credentials, OAuth2)
    return relay.credentials


def token(relays: Relays, refused: str = "") -> str:
    return asyncio.run(oauth_of(relays).token(refused))


def test_relays_come_in_their_order_with_their_passwords(mailbox):
    leave_by_relay(
        "second.example", 587, position=2, security="tls", sign_in="password", username="u", password="p"
    )
    leave_by_relay("first.example", 25, position=1)

    first, second = Relays().of(Mailbox.objects.get())

    assert (first.host, first.credentials) == ("first.example", None)
    assert (second.host, second.credentials) == ("second.example", Password("u", "p"))


def test_a_mailbox_without_the_relay_that_it_leaves_by_is_our_own_fault(mailbox):
    Mailbox.objects.update(way=Mailbox.Way.RELAY)

    with pytest.raises(NoRelayError, match="has no relay"):
        Relays().of(Mailbox.objects.get())


def test_a_password_that_cannot_be_read_is_not_an_empty_one(mailbox):
    leave_by_relay(
        "x.example", 587, security="tls", sign_in="password", username="u", password=Unreadable("lost")
    )

    with pytest.raises(UnreadableError):
        Relays().of(Mailbox.objects.get())


def test_a_token_is_bought_and_the_new_refresh_token_is_kept_for_the_next(provider):
    provider.answers = [
        (200, {"access_token": "one", "expires_in": 3599, "refresh_token": "second"}),
        (200, {"access_token": "two", "expires_in": 3599}),
    ]
    relays = Relays()

    assert token(relays) == "one"
    assert readable(models.Relay.objects.get().refresh_token) == "second"
    assert token(relays, refused="one") == "two"
    assert [asked["refresh_token"] for asked in provider.asked] == ["first", "second"]
    assert (
        readable(models.Relay.objects.get().refresh_token) == "second"
    )  # where none is given, the old one stays


def test_two_looks_at_the_same_relay_are_one_account(provider):
    """Otherwise no connection would ever be used for a second mail."""
    relays = Relays()

    assert oauth_of(relays) == oauth_of(relays)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"refresh_token": ""}, "nobody has signed in yet"),
        ({"refresh_token": Unreadable("lost")}, "encrypted under another SECRET_KEY"),
        ({"client_secret": Unreadable("lost")}, "encrypted under another SECRET_KEY"),
    ],
)
def test_without_a_sign_in_there_is_no_token_and_it_is_said_why(provider, stored, words):
    models.Relay.objects.update(**stored)

    with pytest.raises(NoToken, match=words):
        token(Relays())


def test_a_relay_that_is_gone_meanwhile_gives_no_token(provider):
    access = oauth_of(Relays())
    models.Relay.objects.all().delete()

    with pytest.raises(NoToken):
        asyncio.run(access.token(""))
