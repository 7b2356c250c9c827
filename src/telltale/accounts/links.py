"""Links that sign somebody in: for the demo, and for a person whose password is lost."""

from __future__ import annotations

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.urls import reverse

from telltale.accounts.models import Agent


class SignInTokenGenerator(PasswordResetTokenGenerator):
    """Good for PASSWORD_RESET_TIMEOUT seconds, and for one sign-in: the last sign-in is part of it."""

    key_salt = "telltale.accounts.sign-in-link"


_tokens = SignInTokenGenerator()


def sign_in_path(agent: Agent) -> str:
    """The path of a page that signs `agent` in, once."""
    return reverse("sign-in-link", args=[agent.pk, _tokens.make_token(agent)])


def agent_behind(agent_id: int, token: str) -> Agent | None:
    """Whom this link signs in; None where it has been used, has expired or was never ours."""
    agent = Agent.objects.filter(pk=agent_id, is_active=True).first()
    return agent if agent and _tokens.check_token(agent, token) else None
