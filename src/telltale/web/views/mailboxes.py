"""Settings of mailboxes: their addresses, and the ways by which their mail leaves. For admins."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from telltale.bounce import explain
from telltale.channels.services import SERVICES
from telltale.channels.trial import FaultError, send_test
from telltale.conversations.models import Mailbox, Relay
from telltale.delivery.destinations import change_lanes
from telltale.events.bell import FETCHING, ring
from telltale.inbound.service_events import VIEWS
from telltale.inbound.service_mail import HOW
from telltale.smtp.session import AttemptResult, Outcome
from telltale.web.forms import MailboxForm, RelayForm, ServiceForm, TestMailForm
from telltale.web.presentation import PARTY, code_lines
from telltale.web.requests import DeskRequest, admins_only
from telltale.web.views.oauth import callback

WHO = "Only an admin can see and change mailboxes."
HERE_ALONE = ("localhost", "127.0.0.1", "::1", "")  # hosts that nobody else can reach


@require_safe
@admins_only(WHO)
def index(request: DeskRequest) -> HttpResponse:
    """All mailboxes, and by which way each one's mail leaves."""
    mailboxes = Mailbox.objects.prefetch_related("relays").order_by("address")
    return render(request, "mailboxes.html", _frame("Mailboxes") | {"mailboxes": mailboxes})


@require_http_methods(["GET", "POST"])
@admins_only(WHO)
def mailbox(request: DeskRequest, pk: int) -> HttpResponse:
    """One mailbox: what it is, its relays, a test."""
    found = get_object_or_404(Mailbox, pk=pk)
    form = MailboxForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            change_lanes(form.save())
            ring(FETCHING)
        messages.info(request, "Saved.")
        return redirect("mailbox", pk=pk)
    return _page(request, get_object_or_404(Mailbox, pk=pk), form=form)


@require_http_methods(["GET", "POST"])
@admins_only(WHO)
def new_relay(request: DeskRequest, pk: int) -> HttpResponse:
    """One more relay, behind those that are there."""
    found = get_object_or_404(Mailbox, pk=pk)
    return _edit_relay(request, Relay(mailbox=found, position=found.relays.count()), "New relay")


@require_http_methods(["GET", "POST"])
@admins_only(WHO)
def new_service(request: DeskRequest, pk: int, service: str) -> HttpResponse:
    """The relay of an e-mail service, with what is known of it filled in."""
    found = get_object_or_404(Mailbox, pk=pk)
    if service not in SERVICES:
        raise Http404
    known = SERVICES[service]
    instance = Relay(
        mailbox=found,
        position=found.relays.count(),
        service=service,
        host=known.host,
        username=known.username,
    )
    return _edit_relay(request, instance, known.title)


@require_http_methods(["GET", "POST"])
@admins_only(WHO)
def relay(request: DeskRequest, pk: int) -> HttpResponse:
    """One relay."""
    found = get_object_or_404(Relay.objects.select_related("mailbox"), pk=pk)
    service = SERVICES.get(found.service)
    return _edit_relay(request, found, service.title if service else str(found))


def _edit_relay(request: DeskRequest, instance: Relay, heading: str) -> HttpResponse:
    form_class = ServiceForm if instance.service else RelayForm
    form = form_class(request.POST or None, instance=instance)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            saved = form.save()
            change_lanes(_anew(saved.mailbox))
        messages.info(request, "The relay is saved. Send a test to see whether it takes our mail.")
        return _behind(saved)
    context = {
        "form": form,
        "mailbox": instance.mailbox,
        "relay": instance,
        "callback": callback(request),
        "service": SERVICES.get(instance.service),
        "services": [] if instance.pk or instance.service else SERVICES.items(),
        "events": _events_of(instance),
    }
    return render(request, "relay.html", _frame(heading) | context, status=422 if form.is_bound else 200)


def _behind(saved: Relay) -> HttpResponse:
    """A service is to be told next where we hear its events; that stands on the relay's own page."""
    if saved.service in VIEWS and saved.events_heard_at is None:
        return redirect(reverse("relay", kwargs={"pk": saved.pk}) + "#events")
    return redirect("mailbox", pk=saved.mailbox_id)


def _events_of(relay: Relay) -> dict[str, Any] | None:
    """Where the service tells what becomes of the mail; None where it does not, or there is nothing yet."""
    if not relay.events_token or relay.service not in VIEWS:
        return None
    key = {"pk": relay.pk, "token": relay.events_token}
    host = urlsplit(settings.ENVIRONMENT.url).hostname or ""
    return {
        "url": urljoin(settings.ENVIRONMENT.url, reverse("service-events", kwargs=key)),
        "mail_url": urljoin(settings.ENVIRONMENT.url, reverse("service-mail", kwargs=key)),
        "mail_how": HOW.get(relay.service, ""),
        "is_local": host in HERE_ALONE,
    }


@require_POST
@admins_only(WHO)
def removal(request: DeskRequest, pk: int) -> HttpResponse:
    """Mail does not leave by this relay any more."""
    found = get_object_or_404(Relay.objects.select_related("mailbox"), pk=pk)
    box = found.mailbox
    if box.way == Mailbox.Way.RELAY and box.relays.count() == 1:
        messages.error(request, "It is the only relay. Add another first, or let mail leave directly.")
    else:
        with transaction.atomic():
            found.delete()
            change_lanes(_anew(box))
        messages.info(request, f"The relay {found} is gone.")
    return redirect("mailbox", pk=box.pk)


@require_POST
@admins_only(WHO)
def promotion(request: DeskRequest, pk: int) -> HttpResponse:
    """This relay is tried before all others."""
    found = get_object_or_404(Relay.objects.select_related("mailbox"), pk=pk)
    with transaction.atomic():
        others = [one for one in found.mailbox.relays.select_for_update() if one.pk != found.pk]
        for position, one in enumerate([found, *others]):
            Relay.objects.filter(pk=one.pk).update(position=position)
        change_lanes(_anew(found.mailbox))
    return redirect("mailbox", pk=found.mailbox_id)


@require_POST
@admins_only(WHO)
def tests(request: DeskRequest, pk: int) -> HttpResponse:
    """Send a real mail by the way as it is saved, and tell what became of it."""
    found = get_object_or_404(Mailbox, pk=pk)
    form = TestMailForm(request.POST)
    if not form.is_valid():
        return _page(request, found, test_form=form)
    try:
        result = send_test(found, form.cleaned_data["to"].address)
    except FaultError as fault:
        return _page(request, found, test_form=form, test={"fault": str(fault)})
    return _page(request, found, test_form=form, test=_told(result))


def _told(result: AttemptResult) -> dict[str, Any]:
    verdict = explain(result.report) if result.report else None
    return {
        "result": result,
        "is_accepted": result.outcome is Outcome.ACCEPTED,
        "verdict": verdict,
        "party": PARTY[verdict.party] if verdict else "",
        "words": code_lines(str(result.reply)) if result.reply else [],
    }


def _anew(mailbox: Mailbox) -> Mailbox:
    """As the database has it: a mailbox remembers its relays."""
    return Mailbox.objects.get(pk=mailbox.pk)


def _page(
    request: DeskRequest,
    mailbox: Mailbox,
    *,
    form: MailboxForm | None = None,
    test_form: TestMailForm | None = None,
    test: dict[str, Any] | None = None,
) -> HttpResponse:
    context = {
        "mailbox": mailbox,
        "form": form or MailboxForm(instance=mailbox),
        "test_form": test_form or TestMailForm(initial={"to": request.user.email}),
        "test": test,
        "accounts": mailbox.imap_accounts.prefetch_related("places"),
        "relays": [(one, SERVICES.get(one.service), one.service in VIEWS) for one in mailbox.relays.all()],
    }
    refused = any(one and one.is_bound and one.errors for one in (form, test_form))
    return render(request, "mailbox.html", _frame(mailbox.address) | context, status=422 if refused else 200)


def _frame(heading: str) -> dict[str, object]:
    return {"heading": heading, "page": "settings", "tab": "mailboxes"}
