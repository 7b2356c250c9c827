"""The ways out that a delivery note offers, and the evidence behind it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_POST, require_safe

from telltale.delivery import actions
from telltale.delivery.models import Attempt, Delivery, DeliveryNote
from telltale.web.forms import AlternativeForm, RetryForm
from telltale.web.requests import DeskRequest
from telltale.web.views.answers import done, refused


@require_POST
def attempts(request: DeskRequest, pk: int) -> HttpResponse:
    """One more try, at once or at a time."""
    delivery = _delivery(pk)
    conversation = delivery.message.part.conversation
    form = RetryForm(request.POST)
    if not form.is_valid():
        return refused(request, conversation, _first_fault(form))
    try:
        actions.retry(delivery, agent=request.user, at=form.time)
    except actions.NotPossibleError as error:
        return refused(request, conversation, str(error))
    return done(request, conversation)


@require_POST
def alternatives(request: DeskRequest, pk: int) -> HttpResponse:
    """The same reply to another address."""
    delivery = _delivery(pk)
    conversation = delivery.message.part.conversation
    form = AlternativeForm(request.POST)
    if not form.is_valid():
        return refused(request, conversation, _first_fault(form))
    try:
        actions.send_to_another_address(delivery, agent=request.user, address=form.cleaned_data["address"])
    except actions.NotPossibleError as error:
        return refused(request, conversation, str(error))
    return done(request, conversation)


@require_POST
def cancellation(request: DeskRequest, pk: int) -> HttpResponse:
    delivery = _delivery(pk)
    conversation = delivery.message.part.conversation
    try:
        actions.cancel(delivery, agent=request.user)
    except actions.NotPossibleError as error:
        return refused(request, conversation, str(error))
    return done(request, conversation)


@require_POST
def handling(request: DeskRequest, pk: int) -> HttpResponse:
    """Somebody takes care of it in another way."""
    note = get_object_or_404(
        DeliveryNote.objects.select_related("delivery__message__part__conversation"), pk=pk
    )
    actions.mark_handled(note, agent=request.user)
    return done(request, note.delivery.message.part.conversation)


@require_safe
def transcript(request: DeskRequest, pk: int) -> HttpResponse:
    found = Attempt.objects.select_related("delivery__message__part__conversation")
    attempt = get_object_or_404(found, pk=pk)
    return render(request, "transcript.html", {"heading": "SMTP transcript", "attempt": attempt})


def _delivery(pk: int) -> Delivery:
    return get_object_or_404(Delivery.objects.select_related("message__part__conversation"), pk=pk)


def _first_fault(form: AlternativeForm | RetryForm) -> str:
    return str(next(iter(form.errors.values()))[0])
