"""Settings of mailboxes: their addresses, and the ways by which their mail leaves. For admins."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from telltale.conversations.models import Mailbox
from telltale.web.requests import DeskRequest, admins_only

WHO = "Only an admin can see and change mailboxes."


@require_safe
@admins_only(WHO)
def index(request: DeskRequest) -> HttpResponse:
    """All mailboxes, and by which way each one's mail leaves."""
    mailboxes = Mailbox.objects.order_by("address")
    return render(request, "mailboxes.html", _frame("Mailboxes") | {"mailboxes": mailboxes})


def _frame(heading: str) -> dict[str, object]:
    return {"heading": heading, "page": "settings", "tab": "mailboxes"}
