"""What the frame around every page shows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from telltale.web.inbox import rail


def desk(request: HttpRequest) -> dict[str, Any]:
    """The rail with its counts, for signed-in agents."""
    if not request.user.is_authenticated:
        return {}
    return {"rail": rail(request.user), "sandbox": settings.ENVIRONMENT.sandbox}
