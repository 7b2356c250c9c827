"""The addresses of the sandbox, so that a newcomer can try each."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from telltale.sandbox import catalogue


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    if not settings.ENVIRONMENT.sandbox:
        raise Http404("This desk has no sandbox.")
    return render(request, "sandbox.html", {"heading": "Sandbox", "page": "sandbox", "rows": catalogue()})
