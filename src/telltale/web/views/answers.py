"""How a verb's view answers: a page that runs htmx fetches what changed, any other goes back to look."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from telltale.conversations.models import Conversation


def is_htmx(request: HttpRequest) -> bool:
    return request.headers.get("HX-Request") == "true"


def done(request: HttpRequest, conversation: Conversation) -> HttpResponse:
    """It is done: the page fetches the changes through its one queue, so that nothing is drawn twice."""
    if is_htmx(request):
        return HttpResponse(status=204, headers={"HX-Trigger": "changed"})
    return redirect("conversation", pk=conversation.pk)


def refused(request: HttpRequest, conversation: Conversation, text: str) -> HttpResponse:
    """It was not done, and why: as a message on the page."""
    if is_htmx(request):
        return HttpResponse(text, status=422, content_type="text/plain; charset=utf-8")
    messages.error(request, text)
    return redirect("conversation", pk=conversation.pk)
