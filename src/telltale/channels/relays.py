"""The relays of a mailbox, as the SMTP client knows them: in order, each with what it takes to sign in."""

from __future__ import annotations

import asyncio
from functools import partial

from django.db import connection

from telltale.channels import oauth
from telltale.channels.oauth import PROVIDERS, Granted, Registration, Tokens
from telltale.conversations import models
from telltale.conversations.fields import UnreadableError, readable
from telltale.conversations.models import Mailbox
from telltale.smtp.auth import AccessToken, Credentials, NoToken, OAuth2, Password
from telltale.smtp.route import Relay, Security


class NoRelayError(RuntimeError):
    """The mailbox's mail is to leave by a relay, and there is none: our own fault."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(f"The mailbox {mailbox.address} has no relay. Add one in Settings, Mailboxes.")


class Relays:
    """Turns what is stored into what is connected to. Keeps the access tokens of this process."""

    def __init__(self) -> None:
        self._tokens = Tokens()
        self._accesses: dict[object, AccessToken] = {}

    def of(self, mailbox: Mailbox) -> list[Relay]:
        """In the order in which they are tried.

        Raises NoRelayError where there is none, UnreadableError where a password cannot be decrypted.
        """
        if not mailbox.relays_in_order:
            raise NoRelayError(mailbox)
        return [
            Relay(relay.host, relay.port, Security(relay.security), self._credentials(relay))
            for relay in mailbox.relays_in_order
        ]

    def _credentials(self, relay: models.Relay) -> Credentials | None:
        if relay.sign_in == models.Relay.SignIn.NONE:
            return None
        if not relay.uses_oauth:
            return Password(relay.username, readable(relay.password))
        return OAuth2(relay.username, self._access(relay))

    def _access(self, relay: models.Relay) -> AccessToken:
        """The same function for the same account: connections are used again only where nothing differs."""
        account = (relay.pk, relay.sign_in, relay.tenant, relay.client_id, relay.username)
        renew = partial(asyncio.to_thread, _renewed, relay.pk)

        async def token(refused: str) -> str:
            return await self._tokens.get(account, renew, refused=refused)

        return self._accesses.setdefault(account, token)


def registration(relay: models.Relay) -> Registration:
    """Raises UnreadableError where the client's secret cannot be decrypted."""
    provider = PROVIDERS[relay.sign_in].of_tenant(relay.tenant)
    return Registration(provider, relay.client_id, readable(relay.client_secret))


def _renewed(pk: int) -> Granted:
    """A new access token; a new refresh token, which Microsoft gives each time, is kept for the next."""
    try:
        relay = models.Relay.objects.filter(pk=pk).first()
        if relay is None or not readable(relay.refresh_token):
            raise NoToken("nobody has signed in yet: an admin does so in Settings, Mailboxes")
        granted = oauth.refresh(registration(relay), relay.refresh_token)
        if granted.refresh_token:
            models.Relay.objects.filter(pk=pk).update(refresh_token=granted.refresh_token)
    except UnreadableError as error:
        raise NoToken(str(error)) from error
    else:
        return granted
    finally:
        connection.close()  # this thread may never come back
