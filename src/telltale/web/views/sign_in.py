"""Signing in."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from telltale.accounts.links import agent_behind


class SignIn(LoginView):
    template_name = "sign_in.html"
    redirect_authenticated_user = True


@login_not_required
@require_safe
def link(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """A link that signs somebody in, once. A second click by the same person just goes on."""
    if request.user.is_authenticated and request.user.pk == pk:
        return redirect("inbox")
    agent = agent_behind(pk, token)
    if agent is None:
        messages.error(request, "This link has been used or has expired. Sign in with your password.")
        return redirect("sign-in")
    login(request, agent, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("inbox")
