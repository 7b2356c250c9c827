"""Links that sign somebody in: for the demo, and for a person whose password is lost."""

from __future__ import annotations

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from telltale.accounts.models import Agent


class SignInTokenGenerator(PasswordResetTokenGenerator):
    """Good for PASSWORD_RESET_TIMEOUT seconds, and for one sign-in: the last sign-in is part of it."""

    key_salt = "telltale.accounts.sign-in-link"

    def _make_hash_value(self, user: Agent, timestamp: int) -> str:
        """Django counts the last sign-in in whole seconds: within one, a link would work twice."""
        last = user.last_login.isoformat() if user.last_login else ""
        return f"{super()._make_hash_value(user, timestamp)}{last}"


_tokens = SignInTokenGenerator()


def sign_in_path(agent: Agent) -> str:
    """The path of a page that signs `agent` in, once."""
    return reverse("sign-in-link", args=[agent.pk, _tokens.make_token(agent)])


@transaction.atomic
def agent_behind(agent_id: int, token: str) -> Agent | None:
    """Whom this link signs in, which uses it up; None where it has been used, has expired or was never ours."""
    agent = Agent.objects.select_for_update().filter(pk=agent_id, is_active=True).first()
    if agent is None or not _tokens.check_token(agent, token):
        return None
    agent.last_login = timezone.now()
    agent.save(update_fields=["last_login"])
    return agent
