"""Accounts at a provider that mail is fetched from by IMAP. For admins."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from telltale.conversations.models import ImapAccount, Mailbox
from telltale.events.bell import FETCHING, ring
from telltale.inbound.imap import ImapFaultError, check
from telltale.web.forms import ImapForm
from telltale.web.requests import DeskRequest, admins_only
from telltale.web.views.oauth import callback

WHO = "Only an admin can see and change where mail is fetched."


@require_http_methods(["GET", "POST"])
@admins_only(WHO)
def new(request: DeskRequest, pk: int) -> HttpResponse:
    """One more account that mail for this mailbox arrives in."""
    mailbox = get_object_or_404(Mailbox, pk=pk)
    return _edit(request, ImapAccount(mailbox=mailbox, username=mailbox.address), "Fetch mail")


@require_http_methods(["GET", "POST"])
@admins_only(WHO)
def show(request: DeskRequest, pk: int) -> HttpResponse:
    """One account."""
    found = get_object_or_404(ImapAccount.objects.select_related("mailbox"), pk=pk)
    return _edit(request, found, str(found))


def _edit(request: DeskRequest, instance: ImapAccount, heading: str) -> HttpResponse:
    form = ImapForm(request.POST or None, instance=instance)
    if request.method == "POST" and (saved := _saved(form)):
        _try(request, saved)
        return redirect("mailbox", pk=saved.mailbox_id)
    context = {
        "form": form,
        "mailbox": instance.mailbox,
        "callback": callback(request),
        "heading": heading,
        "page": "settings",
        "tab": "mailboxes",
    }
    return render(request, "imap.html", context, status=422 if form.is_bound else 200)


@transaction.atomic
def _saved(form: ImapForm) -> ImapAccount | None:
    """None where the form is wrong. A second click waits here, and finds what the first one saved."""
    Mailbox.objects.select_for_update().get(pk=form.instance.mailbox_id)
    if not form.is_valid():
        return None
    saved: ImapAccount = form.save()
    ring(FETCHING)
    return saved


@require_POST
@admins_only(WHO)
def checks(request: DeskRequest, pk: int) -> HttpResponse:
    """Sign in now, and tell what is there or why that did not go."""
    found = get_object_or_404(ImapAccount, pk=pk)
    _try(request, found)
    return redirect("mailbox", pk=found.mailbox_id)


def _try(request: DeskRequest, account: ImapAccount) -> None:
    if account.uses_oauth and not account.refresh_token:
        messages.info(request, f"Saved. Now sign in as {account.username}, with the button below.")
        return
    try:
        messages.info(request, check(account))
    except ImapFaultError as fault:
        messages.error(request, f"{account} does not let us fetch. {fault}")


@require_POST
@admins_only(WHO)
def removal(request: DeskRequest, pk: int) -> HttpResponse:
    """Mail is not fetched from this account any more; what is there stays there."""
    found = get_object_or_404(ImapAccount, pk=pk)
    with transaction.atomic():
        found.delete()
        ring(FETCHING)
    messages.info(request, f"Mail is not fetched from {found.username} any more.")
    return redirect("mailbox", pk=found.mailbox_id)
