"""Signing in with OAuth 2.0 as the account that a relay or IMAP takes: to the provider and back. For admins."""

from __future__ import annotations

import secrets

from django.contrib import messages
from django.core import signing
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from telltale.channels import oauth
from telltale.channels.relays import registration
from telltale.conversations.fields import UnreadableError
from telltale.conversations.models import ImapAccount, Relay
from telltale.events.bell import FETCHING, ring
from telltale.smtp.auth import NoToken
from telltale.web.requests import DeskRequest, admins_only

WHO = "Only an admin can sign in for a mailbox."
SIGN_IN_WITHIN = 15 * 60  # seconds
SALT = "telltale.oauth"
VERIFIER = "oauth-verifier"
SIGNED_IN = {
    "relay": "Signed in. Send a test to see whether the relay takes our mail.",
    "imap": "Signed in. Mail is fetched from now on.",
}


@require_POST
@admins_only(WHO)
def sign_in(request: DeskRequest, kind: str, pk: int) -> HttpResponse:
    """On to the provider, where somebody signs in as the account."""
    found = _account(kind, pk)
    if not found.uses_oauth:
        messages.error(request, "This server takes no sign-in of Google or Microsoft.")
        return redirect("mailbox", pk=found.mailbox_id)
    try:
        registered = registration(found)
    except UnreadableError as error:
        messages.error(request, str(error))
        return redirect("mailbox", pk=found.mailbox_id)
    verifier = request.session[VERIFIER] = secrets.token_urlsafe(48)
    state = signing.dumps({kind: pk, "agent": request.user.pk}, salt=SALT)
    return redirect(
        oauth.authorization_url(
            registered, redirect=callback(request), state=state, verifier=verifier, hint=found.username
        )
    )


@require_safe
@admins_only(WHO)
def signed_in(request: DeskRequest) -> HttpResponse:
    """Back from the provider with a code, or with the reason why there is none."""
    verifier = request.session.pop(VERIFIER, "")
    try:
        state = signing.loads(request.GET.get("state", ""), salt=SALT, max_age=SIGN_IN_WITHIN)
    except signing.BadSignature:
        state = {}
    if not verifier or state.get("agent") != request.user.pk:
        messages.error(request, "That sign-in was not begun here, or it is too long ago. Begin it again.")
        return redirect("mailboxes")
    kind = next(name for name in SIGNED_IN if name in state)
    found = _account(kind, state[kind])
    if _keep_grant(request, found, verifier):
        messages.info(request, SIGNED_IN[kind])
    return redirect("mailbox", pk=found.mailbox_id)


def _account(kind: str, pk: int) -> Relay | ImapAccount:
    if kind == "imap":
        return get_object_or_404(ImapAccount, pk=pk)
    return get_object_or_404(Relay, pk=pk)


def _keep_grant(request: DeskRequest, found: Relay | ImapAccount, verifier: str) -> bool:
    """Whether the provider gave what signs in from now on; why not is said."""
    code = request.GET.get("code", "")
    if not code:
        said = request.GET.get("error_description") or request.GET.get("error") or "nothing"
        messages.error(request, f"The provider did not sign in; it said: {said[:500]}")
        return False
    try:
        granted = oauth.exchange(
            registration(found), code=code, redirect=callback(request), verifier=verifier
        )
    except (NoToken, UnreadableError) as error:
        messages.error(request, f"The sign-in did not succeed. {error}")
        return False
    if not granted.refresh_token:
        messages.error(
            request, "The provider gave no refresh token: take our access away there, and try again."
        )
        return False
    with transaction.atomic():
        type(found).objects.filter(pk=found.pk).update(refresh_token=granted.refresh_token)
        ring(FETCHING)
    return True


def callback(request: DeskRequest) -> str:
    """The address that the admin registers at the provider."""
    return request.build_absolute_uri(reverse("oauth-callback"))
