"""What the frame around every page shows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from telltale.delivery.browse import needs_a_look
from telltale.web.inbox import not_fetched, rail, unread_mails


def desk(request: HttpRequest) -> dict[str, Any]:
    """The rail, for signed-in agents; counted only where a template draws it."""
    if not request.user.is_authenticated:
        return {}
    return {
        "rail": lambda: rail(request.user),
        "queue_needs_a_look": needs_a_look,
        "not_fetched": not_fetched,
        "unread_mails": unread_mails,
        "sandbox": settings.ENVIRONMENT.sandbox,
    }
