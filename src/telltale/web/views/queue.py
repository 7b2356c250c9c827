"""The queue: what waits and why, and what can be done about one delivery or ten thousand.

Bulk work is a row of short requests. How far it has come stands, signed, in the page's own address: a reload, a
restart of the desk or a page without JavaScript goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from telltale.bounce import knowledge
from telltale.conversations.models import Mailbox
from telltale.delivery import browse, bulk
from telltale.delivery.browse import BadFilterError, Count, Filter, TooSlowError
from telltale.delivery.bulk import Verb, Work
from telltale.delivery.models import AT_ONCE, Incident
from telltale.web import queue
from telltale.web.requests import DeskRequest
from telltale.web.views.answers import is_htmx

SEARCHES_FOR = 0.8  # seconds that a page may look for deliveries
WORKS_FOR = 0.5  # seconds of one request of bulk work
AGE_OF_WORK = 24 * 60 * 60  # seconds for which it can be taken up again
MOST_TICKED = 200
LONGEST_QUERY = 2_000  # characters
SALT = "telltale.queue.work"
TOO_SLOW = "That search takes too long. Name a whole address, a destination or a state."


@require_safe
def show(request: DeskRequest) -> HttpResponse:
    """The queue. The filter stands in the query; `?before=` is the next page of the list."""
    return render(request, "queue.html", _context(request))


@require_safe
def live(request: DeskRequest) -> HttpResponse:
    """The same page's inside anew, for a page that heard of a change."""
    return render(request, "fragments/queue.html", _context(request))


def _context(request: DeskRequest) -> dict[str, Any]:
    context = _surroundings(request)
    try:
        chosen = Filter.parse(request.GET.dict())
        with browse.within(SEARCHES_FOR):
            page = browse.page(chosen, before=_number(request.GET.get("before", "")))
            total = browse.count(browse.deliveries(chosen))
    except (BadFilterError, TooSlowError) as error:
        fault = TOO_SLOW if isinstance(error, TooSlowError) else str(error)
        return context | {"chosen": request.GET, "fault": fault, "query": request.GET.urlencode()}
    words = chosen.words()
    return context | {
        "chosen": words,
        "rows": [queue.row(delivery) for delivery in page.rows],
        "total": total,
        "older": urlencode({**words, "before": page.before}) if page.before else "",
        "query": request.GET.urlencode(),
        "newest": urlencode(words) if "before" in request.GET else None,
    }


def _surroundings(request: DeskRequest) -> dict[str, Any]:
    """What the page shows whatever the filter is."""
    return {
        "heading": "Queue",
        "page": "queue",
        "figures": [queue.shown_figure(figure) for figure in browse.figures()],
        "incidents": [queue.incident_view(incident) for incident in browse.open_incidents()],
        "past": [queue.incident_view(incident) for incident in browse.past_incidents()],
        "lanes": browse.slow_lanes(),
        "usual_at_once": AT_ONCE,
        "mailboxes": [
            {"mailbox": mailbox, "by": browse.who_paused(mailbox) if mailbox.paused_at else None}
            for mailbox in Mailbox.objects.order_by("address")
        ],
        "states": queue.STATES,
        "holds": queue.HOLDS,
        "reasons": [(name, reason.title) for name, reason in sorted(knowledge.reasons().items())],
        "spans": queue.SPANS,
        "verbs": queue.VERBS,
    }


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


class WorkForm(forms.Form):
    verb = forms.ChoiceField(choices=[(verb, verb) for verb in Verb])
    which = forms.ChoiceField(choices=[("chosen", "chosen"), ("matching", "matching")])


@require_POST
def work(request: DeskRequest) -> HttpResponse:
    """Do it to what is ticked, at once as far as it goes; to all that match only after a second look."""
    form = WorkForm(request.POST)
    query = QueryDict(request.POST.get("query", "")[:LONGEST_QUERY])
    back = f"{reverse('queue')}?{query.urlencode()}"
    ids = [
        number for text in request.POST.getlist("id")[:MOST_TICKED] if (number := _number(text)) is not None
    ]
    if not form.is_valid():
        return _back(request, back, "Choose what to do, and with which deliveries.")
    is_chosen = form.cleaned_data["which"] == "chosen"
    if is_chosen and not ids:
        return _back(request, back, "Tick at least one delivery, or choose all that match.")
    try:
        chosen = Filter(ids=tuple(ids)) if is_chosen else Filter.parse(query.dict())
        with browse.within(SEARCHES_FOR):
            planned = bulk.plan(Verb(form.cleaned_data["verb"]), chosen)
    except (BadFilterError, TooSlowError) as error:
        return _back(request, back, TOO_SLOW if isinstance(error, TooSlowError) else str(error))
    if not is_chosen:
        return redirect(_address(planned, request, back))
    worked = bulk.go_on(planned, by=request.user, seconds=WORKS_FOR)
    if not worked.is_finished:
        return redirect(_address(worked, request, back))
    messages.info(request, queue.said_of(worked))
    return redirect(back)


def _back(request: DeskRequest, address: str, text: str) -> HttpResponse:
    messages.error(request, text)
    return redirect(address)


@require_safe
def progress(request: DeskRequest) -> HttpResponse:
    """How far bulk work has come; the page goes on with it by itself once somebody has begun it."""
    return _progress(request, *_unsigned(request, request.GET.get("at", "")))


@require_POST
def steps(request: DeskRequest) -> HttpResponse:
    """The next batch."""
    unfinished, back = _unsigned(request, request.POST.get("at", ""))
    worked = bulk.go_on(unfinished, by=request.user, seconds=WORKS_FOR)
    if is_htmx(request):
        response = _progress(request, worked, back)
        response.headers["HX-Replace-Url"] = _address(worked, request, back)
        return response
    return redirect(_address(worked, request, back))


def _progress(request: DeskRequest, shown: Work, back: str) -> HttpResponse:
    context = {
        "heading": queue.VERBS[shown.verb].heading,
        "page": "queue",
        "work": shown,
        "verb": queue.VERBS[shown.verb],
        "said": queue.said_of(shown),
        "asked_for": queue.filter_in_words(shown.chosen),
        "at": _signed(shown, request, back),
        "back": back,
    }
    name = "fragments/queue_progress.html" if is_htmx(request) else "queue_work.html"
    return render(request, name, context)


def _address(unfinished: Work, request: DeskRequest, back: str) -> str:
    return f"{reverse('queue-progress')}?{urlencode({'at': _signed(unfinished, request, back)})}"


def _signed(unfinished: Work, request: DeskRequest, back: str) -> str:
    """The work for this agent alone: a link that somebody else made starts nothing."""
    value = {**asdict(unfinished), "agent": request.user.pk, "back": back}
    return signing.dumps(value, salt=SALT, compress=True)


def _unsigned(request: DeskRequest, text: str) -> tuple[Work, str]:
    try:
        value = signing.loads(text, salt=SALT, max_age=AGE_OF_WORK)
    except signing.BadSignature:
        raise PermissionDenied("This is no work of the queue, or it is older than a day.") from None
    if value.pop("agent") != request.user.pk:
        raise PermissionDenied("Somebody else began this.")
    back = value.pop("back")
    chosen = value.pop("chosen")
    ids, total, verb = chosen.pop("ids"), Count(**value.pop("total")), Verb(value.pop("verb"))
    return Work(verb=verb, chosen=Filter(**chosen, ids=tuple(ids)), total=total, **value), back


@require_safe
def incident(request: DeskRequest, pk: int) -> HttpResponse:
    """One incident with its evidence."""
    found = get_object_or_404(Incident.objects.select_related("report", "closed_by"), pk=pk)
    shown = queue.incident_view(found)
    return render(request, "incident.html", {"heading": shown.headline, "page": "queue", "incident": shown})


@require_POST
def closing(request: DeskRequest, pk: int) -> HttpResponse:
    """A person has mended it."""
    _admins_only(request, "Only an admin can say that an incident is mended.")
    found = get_object_or_404(Incident, pk=pk)
    retry_failed = request.POST.get("retry_failed") == "1"
    if found.closed_at is None:
        bulk.close_incident(found, by=request.user, retry_failed=retry_failed)
        messages.info(request, "It is said to be mended: what it held goes out within a moment.")
    else:
        messages.info(request, "It was over already.")
    return redirect("queue")


@require_POST
def pause(request: DeskRequest, pk: int) -> HttpResponse:
    """Nothing more leaves from this mailbox."""
    return _mailbox(request, pk, lambda mailbox: bulk.pause(mailbox, by=request.user))


@require_POST
def resumption(request: DeskRequest, pk: int) -> HttpResponse:
    """The mailbox goes on."""
    return _mailbox(request, pk, lambda mailbox: bulk.resume(mailbox, by=request.user))


def _mailbox(request: DeskRequest, pk: int, act: Callable[[Mailbox], None]) -> HttpResponse:
    _admins_only(request, "Only an admin can pause a mailbox.")
    act(get_object_or_404(Mailbox, pk=pk))
    return redirect("queue")


class LimitForm(forms.Form):
    destination = forms.CharField(
        max_length=300, error_messages={"required": "Give the destination, such as example.com."}
    )
    per_minute = forms.IntegerField(
        min_value=1,
        max_value=100_000,
        required=False,
        error_messages={"invalid": "Give the tries in a minute as a number, or leave it empty for no limit."},
    )


@require_POST
def limits(request: DeskRequest) -> HttpResponse:
    """At most so many tries in a minute to one destination."""
    _admins_only(request, "Only an admin can limit a destination.")
    form = LimitForm(request.POST)
    if not form.is_valid():
        messages.error(request, str(next(iter(form.errors.values()))[0]))
        return redirect("queue")
    name, per_minute = form.cleaned_data["destination"].lower(), form.cleaned_data["per_minute"]
    is_known = bulk.limit(name, per_minute, by=request.user)
    messages.info(request, queue.said_of_limit(name, per_minute, is_known=is_known))
    return redirect("queue")


def _admins_only(request: DeskRequest, text: str) -> None:
    if not request.user.is_admin:
        raise PermissionDenied(text)
