"""Mail that matched nothing, or that this desk failed to read: to be looked at, let in, read again or removed."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from telltale.conversations.models import RawMail
from telltale.inbound.quarantine import SET_ASIDE, AdmissionError, admit, read_again
from telltale.mail.letter import Letter, read_letter
from telltale.web.requests import DeskRequest, admins_only

PAGE = 50
MOST_READ = 32_000  # octets of a mail, for its sender and subject
WHO = "Only an admin can remove mail."


@dataclass(frozen=True, slots=True)
class Row:
    mail: RawMail
    letter: Letter | None  # None: its file cannot be read


@require_safe
def index(request: DeskRequest) -> HttpResponse:
    """What is set aside, the newest first; faults of ours before all else."""
    before = request.GET.get("before", "")
    quarantined = RawMail.objects.filter(fate=RawMail.Fate.QUARANTINED).order_by("-id")
    if before.isdecimal():
        quarantined = quarantined.filter(pk__lt=min(int(before), 2**63 - 1))
    mails = list(quarantined[: PAGE + 1])
    context = {
        "heading": "Quarantine",
        "page": "quarantine",
        "faults": []
        if before
        else [_row(mail) for mail in RawMail.objects.filter(fate=RawMail.Fate.FAULT)[:PAGE]],
        "rows": [_row(mail) for mail in mails[:PAGE]],
        "older": mails[PAGE - 1].pk if len(mails) > PAGE else None,
        "before": before,
    }
    return render(request, "quarantine.html", context)


def _row(mail: RawMail) -> Row:
    try:
        with mail.content.open("rb") as file:
            return Row(mail, read_letter(file.read(MOST_READ)))
    except OSError:
        return Row(mail, None)


@require_POST
def admission(request: DeskRequest, pk: int) -> HttpResponse:
    """It is a message of a person after all."""
    get_object_or_404(RawMail, pk=pk)
    try:
        conversation = admit(pk, agent=request.user)
    except AdmissionError as error:
        messages.error(request, str(error))
        return redirect("quarantine")
    return redirect("conversation", pk=conversation.pk)


@require_POST
def rereading(request: DeskRequest, pk: int) -> HttpResponse:
    """By the rules as they are now: the desk may have been updated, or its disk mended."""
    read_again(get_object_or_404(RawMail, pk=pk).pk)
    messages.info(request, "It is being read again.")
    return redirect("quarantine")


@require_POST
@admins_only(WHO)
def removal(request: DeskRequest, pk: int) -> HttpResponse:
    """For ever: the row, then the octets."""
    mail = get_object_or_404(RawMail, pk=pk, fate__in=SET_ASIDE)
    file = mail.content
    with transaction.atomic():
        mail.delete()
    file.delete(save=False)
    messages.info(request, "Removed.")
    return redirect("quarantine")
