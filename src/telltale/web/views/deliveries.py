"""The ways out that a delivery note offers, and the evidence behind it."""

from __future__ import annotations

from collections.abc import Callable

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
    form = RetryForm(request.POST)
    return _answer(request, pk, lambda one: actions.retry(one, agent=request.user, at=form.time), form)


@require_POST
def alternatives(request: DeskRequest, pk: int) -> HttpResponse:
    """The same reply to another address."""
    form = AlternativeForm(request.POST)

    def send(delivery: Delivery) -> None:
        actions.send_to_another_address(delivery, agent=request.user, address=form.cleaned_data["address"])

    return _answer(request, pk, send, form)


@require_POST
def cancellation(request: DeskRequest, pk: int) -> HttpResponse:
    """No more tries."""
    return _answer(request, pk, lambda one: actions.cancel(one, agent=request.user))


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


def _answer(
    request: DeskRequest,
    pk: int,
    act: Callable[[Delivery], object],
    form: AlternativeForm | RetryForm | None = None,
) -> HttpResponse:
    """Do this to the delivery, or say why it cannot be done."""
    delivery = get_object_or_404(Delivery.objects.select_related("message__part__conversation"), pk=pk)
    conversation = delivery.message.part.conversation
    if form and not form.is_valid():
        return refused(request, conversation, _first_fault(form))
    try:
        act(delivery)
    except actions.NotPossibleError as error:
        return refused(request, conversation, str(error))
    return done(request, conversation)


def _first_fault(form: AlternativeForm | RetryForm) -> str:
    return str(next(iter(form.errors.values()))[0])
