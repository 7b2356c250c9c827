"""What every answer of the desk carries, and where a new desk leads its first visitor."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone

from telltale.accounts.models import Agent

Answer = Callable[[HttpRequest], HttpResponseBase]

# Scripts and styles come from our own static files alone; nothing inline runs, nothing foreign is fetched.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def content_security_policy(get_response: Answer) -> Answer:
    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return middleware


def own_time_zone(get_response: Answer) -> Answer:
    """Times are shown, and read from forms, in the agent's own time zone."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not isinstance(request.user, Agent):
            return get_response(request)
        with timezone.override(zoneinfo.ZoneInfo(request.user.time_zone)):
            return get_response(request)

    return middleware


def first_run(get_response: Answer) -> Answer:
    """A desk without an agent leads to the page that makes the first one."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_about_pages = not request.path.startswith(("/welcome", "/static", "/services"))
        if is_about_pages and not request.user.is_authenticated and not Agent.objects.exists():
            return redirect("welcome")
        response: HttpResponse = get_response(request)  # type: ignore[assignment]
        return response

    return middleware
