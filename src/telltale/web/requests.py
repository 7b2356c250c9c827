"""The request that a view behind the sign-in gets: LoginRequiredMiddleware has made sure who asks."""

from __future__ import annotations

from django.http import HttpRequest

from telltale.accounts.models import Agent


class DeskRequest(HttpRequest):
    user: Agent
