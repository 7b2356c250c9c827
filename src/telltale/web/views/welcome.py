"""The first visit to a new desk: the first admin, then the first mailbox."""

from __future__ import annotations

from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from telltale.accounts import actions
from telltale.accounts.models import Agent
from telltale.conversations.actions import create_mailbox
from telltale.web.forms import NewMailboxForm, WelcomeForm
from telltale.web.requests import DeskRequest


@login_not_required
@require_http_methods(["GET", "POST"])
def admin(request: HttpRequest) -> HttpResponse:
    """Make the first admin. Once there is one, this page is closed for good."""
    if Agent.objects.exists():
        return redirect("inbox")
    form = WelcomeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        agent = actions.create_first_admin(**form.cleaned_data)
        if agent is None:
            return redirect("sign-in")
        login(request, agent, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("new-mailbox")
    return render(request, "welcome.html", {"form": form}, status=422 if form.is_bound else 200)


@require_http_methods(["GET", "POST"])
def mailbox(request: DeskRequest) -> HttpResponse:
    """Add an address that customers write to."""
    if not request.user.is_admin:
        raise PermissionDenied("Only an admin can add a mailbox.")
    form = NewMailboxForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        create_mailbox(**form.mailbox)
        return redirect("inbox")
    return render(request, "new_mailbox.html", {"form": form}, status=422 if form.is_bound else 200)
