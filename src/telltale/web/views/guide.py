"""The error guide: what each reason and code means, and a box for an error that somebody was sent."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from telltale.bounce import explain
from telltale.bounce.guide import entries
from telltale.bounce.said import report_of
from telltale.web.presentation import PARTY
from telltale.web.views.answers import is_htmx

MOST_ERROR = 8_000  # characters: as many as the engine compares
MOST_SEARCH = 200


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The guide. `?search=` narrows it down, `?error=` explains a reply, `?host=` says who gave it."""
    search = request.GET.get("search", "")[:MOST_SEARCH]
    error = request.GET.get("error", "")[:MOST_ERROR].strip()
    host = request.GET.get("host", "")[:MOST_SEARCH].strip()
    context = {
        "heading": "Error guide",
        "page": "guide",
        "search": search,
        "error": error,
        "host": host,
        "verdict": explain(report_of(error, host=host)) if error else None,
        "parties": {str(party): words for party, words in PARTY.items()},
        "entries": entries(search),
    }
    name = "fragments/guide_entries.html" if is_htmx(request) else "guide.html"
    return render(request, name, context)
