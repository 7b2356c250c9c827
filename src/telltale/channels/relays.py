"""The relays of a mailbox, as the SMTP client knows them: in order, each with what it takes to sign in."""

from __future__ import annotations

import asyncio
from functools import partial

from django.db import connection

from telltale.channels import oauth
from telltale.channels.oauth import PROVIDERS, Granted, Registration, Tokens
from telltale.conversations.fields import UnreadableError, readable
from telltale.conversations.models import ImapAccount, Mailbox, Relay, SignsIn
from telltale.smtp import route
from telltale.smtp.auth import AccessToken, Credentials, NoToken, OAuth2, Password
from telltale.smtp.route import Security


class NoRelayError(RuntimeError):
    """The mailbox's mail is to leave by a relay, and there is none: our own fault."""

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(f"The mailbox {mailbox.address} has no relay. Add one in Settings, Mailboxes.")


class Relays:
    """Turns what is stored into what is connected to. Keeps the access tokens of this process."""

    def __init__(self) -> None:
        self._tokens = Tokens()
        self._accesses: dict[object, AccessToken] = {}

    def of(self, mailbox: Mailbox) -> list[route.Relay]:
        """In the order in which they are tried.

        Raises NoRelayError where there is none, UnreadableError where a password cannot be decrypted.
        """
        if not mailbox.relays_in_order:
            raise NoRelayError(mailbox)
        return [
            route.Relay(relay.host, relay.port, Security(relay.security), self._credentials(relay))
            for relay in mailbox.relays_in_order
        ]

    def _credentials(self, relay: Relay) -> Credentials | None:
        if relay.sign_in == Relay.SignIn.NONE:
            return None
        if not relay.uses_oauth:
            return Password(relay.username, readable(relay.password))
        return OAuth2(relay.username, self._access(relay))

    def _access(self, relay: Relay) -> AccessToken:
        """The same function for the same account: connections are used again only where nothing differs."""
        account = (relay.pk, relay.sign_in, relay.tenant, relay.client_id, relay.username)
        renew = partial(asyncio.to_thread, renewed, Relay, relay.pk)

        async def token(refused: str) -> str:
            return await self._tokens.get(account, renew, refused=refused)

        return self._accesses.setdefault(account, token)


def registration(account: SignsIn) -> Registration:
    """Raises UnreadableError where the client's secret cannot be decrypted."""
    provider = PROVIDERS[account.sign_in].of_tenant(account.tenant)
    if isinstance(account, ImapAccount):
        provider = provider.for_imap()
    return Registration(provider, account.client_id, readable(account.client_secret))


def renewed(kind: type[Relay] | type[ImapAccount], pk: int) -> Granted:
    """A new access token; a new refresh token, which Microsoft gives each time, is kept for the next.

    Raises NoToken. Blocks.
    """
    try:
        account = kind.objects.filter(pk=pk).first()
        if account is None or not readable(account.refresh_token):
            raise NoToken("nobody has signed in yet: an admin does so in Settings, Mailboxes")
        granted = oauth.refresh(registration(account), account.refresh_token)
        if granted.refresh_token:
            kind.objects.filter(pk=pk).update(refresh_token=granted.refresh_token)
    except UnreadableError as error:
        raise NoToken(str(error)) from error
    else:
        return granted
    finally:
        connection.close()  # this thread may never come back
