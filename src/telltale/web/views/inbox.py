"""The lists."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from telltale.conversations.models import Conversation, Mailbox
from telltale.web.inbox import BY_SLUG, View, conversations
from telltale.web.requests import DeskRequest


@require_safe
def home(request: DeskRequest) -> HttpResponse:
    if not Mailbox.objects.exists():
        return redirect("new-mailbox")
    return redirect("view", view="open")


@require_safe
def view(request: DeskRequest, view: str) -> HttpResponse:
    chosen = _view(view)
    context = {
        "view": chosen,
        "rows": conversations(chosen, request.user),
        "is_new": not Conversation.objects.exists(),
        "mailboxes": Mailbox.objects.order_by("address"),
        "door": settings.ENVIRONMENT.smtp_listen,
    }
    return render(request, "inbox.html", context)


@require_safe
def rows(request: DeskRequest, view: str) -> HttpResponse:
    """The list and the rail's counts anew, for a page that heard of a change."""
    chosen = _view(view)
    selected = request.GET.get("selected", "")
    context = {
        "view": chosen,
        "rows": conversations(chosen, request.user),
        "selected": int(selected) if selected.isdigit() else None,
    }
    return render(request, "fragments/rows.html", context)


def _view(slug: str) -> View:
    try:
        return BY_SLUG[slug]
    except KeyError:
        raise Http404(f"There is no view called {slug}.") from None
