"""One conversation: its page, what is new in it, and what an agent writes into it."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet, prefetch_related_objects
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from telltale.accounts.models import Agent
from telltale.conversations import actions
from telltale.conversations.models import Conversation, Draft, Mailbox, Part
from telltale.delivery.actions import (
    NotPossibleError,
    StaleError,
    send_now,
    send_reply,
    start_conversation,
    take_back,
)
from telltale.delivery.checks import findings
from telltale.web.forms import AddressesForm, DraftForm, NewConversationForm, NoteForm, ReplyForm
from telltale.web.inbox import BY_SLUG, View, conversations
from telltale.web.parts import parts_for_page
from telltale.web.requests import DeskRequest
from telltale.web.views.answers import done, is_htmx, refused
from telltale.web.views.files import keep_uploads, store_fault

# State and assignee never change without one of these parts.
CHANGES_THE_HEAD = {Part.Kind.EVENT, Part.Kind.CUSTOMER_MESSAGE}


@require_safe
def show(request: DeskRequest, pk: int) -> HttpResponse:
    conversation = _conversation(pk)
    return render(request, "conversation.html", _page(request, conversation))


@require_safe
def changes(request: DeskRequest, pk: int) -> HttpResponse:
    """The parts that are newer than version `since`, each to be put in its place."""
    since = request.GET.get("since", "")
    if not since.isascii() or not since.isdigit() or len(since) > 18:
        return HttpResponseBadRequest("Say since which version: ?since=12")
    conversation = _conversation(pk)
    parts = parts_for_page(conversation, viewer=request.user, since=int(since))
    context = {
        "conversation": conversation,
        "since": int(since),
        "parts": parts,
        "is_head_new": any(shown.part.kind in CHANGES_THE_HEAD for shown in parts),
        "view": _view(request),
        "agents": _agents(),
    }
    return render(request, "fragments/changes.html", context)


@require_POST
def replies(request: DeskRequest, pk: int) -> HttpResponse:
    """Send. What was typed stays in the form until it has become a part."""
    conversation = _conversation(pk)
    draft, faults = _keep_draft(request, conversation)
    form = ReplyForm(request.POST)
    if not form.is_valid() or faults:
        return _compose_again(request, conversation, form, draft, faults=faults)
    try:
        send_reply(
            conversation,
            agent=request.user,
            recipients=form.recipients,
            body=form.cleaned_data["body"],
            key=form.cleaned_data["key"],
            seen_version=None if form.cleaned_data["anyway"] else form.cleaned_data["seen"],
            leave_at=form.time,
            override_holds=form.cleaned_data["override_holds"],
        )
    except StaleError as error:
        return _compose_again(request, conversation, form, draft, stale=str(error))
    except OSError as error:
        faults = [f"Nothing was sent. {store_fault(error)} What you typed is kept."]
        return _compose_again(request, conversation, form, draft, faults=faults)
    return _composed(request, conversation)


@require_POST
def withdrawal(request: DeskRequest, pk: int) -> HttpResponse:
    """Undo: a reply that has not left becomes a draft again, before what the composer holds by now."""
    part, conversation = _reply(pk)
    _keep_draft(request, conversation)
    try:
        take_back(part, agent=request.user)
    except NotPossibleError as error:
        return refused(request, conversation, str(error))
    return _composed(request, conversation)


@require_POST
def departure(request: DeskRequest, pk: int) -> HttpResponse:
    """Do not wait any longer: it goes out now."""
    part, conversation = _reply(pk)
    try:
        send_now(part, agent=request.user)
    except NotPossibleError as error:
        return refused(request, conversation, str(error))
    return done(request, conversation)


def _reply(pk: int) -> tuple[Part, Conversation]:
    part = get_object_or_404(Part, pk=pk, kind__in=[Part.Kind.REPLY, Part.Kind.EVENT])
    return part, _conversation(part.conversation_id)


@require_POST
def notes(request: DeskRequest, pk: int) -> HttpResponse:
    conversation = _conversation(pk)
    draft, faults = _keep_draft(request, conversation)
    form = NoteForm(request.POST)
    if not form.is_valid() or faults:
        return _compose_again(request, conversation, form, draft, faults=faults)
    actions.add_internal_note(conversation, agent=request.user, **form.cleaned_data)
    return _composed(request, conversation)


@require_POST
def draft(request: DeskRequest, pk: int) -> HttpResponse:
    """Keep what has been typed so far."""
    conversation = _conversation(pk)
    form = DraftForm(request.POST)
    if not form.is_valid():
        return render(request, "fragments/draft_state.html", {"problem": "Not kept: too long."}, status=422)
    kept = actions.save_draft(conversation, agent=request.user, **form.cleaned_data)
    return render(request, "fragments/draft_state.html", {"kept": kept})


@require_safe
def checks(request: DeskRequest, pk: int) -> HttpResponse:
    """The strip in the composer: what would keep the reply from arriving."""
    conversation = _conversation(pk)
    form = AddressesForm(request.GET)
    draft = Draft.objects.filter(agent=request.user, conversation=conversation).first()
    octets = sum(draft.attachments.values_list("size", flat=True)) if draft else 0
    found = findings(conversation.mailbox, form.addresses, octets=octets)
    return render(request, "fragments/checks.html", {"findings": found})


@require_POST
def state(request: DeskRequest, pk: int) -> HttpResponse:
    conversation = _conversation(pk)
    if request.POST.get("state") not in (Conversation.State.OPEN, Conversation.State.CLOSED):
        return HttpResponseBadRequest("state is “open” or “closed”.")
    actions.change_state(conversation, Conversation.State(request.POST["state"]), agent=request.user)
    return done(request, conversation)


@require_POST
def assignee(request: DeskRequest, pk: int) -> HttpResponse:
    conversation = _conversation(pk)
    chosen = request.POST.get("agent", "")
    whom = get_object_or_404(Agent, pk=int(chosen), is_active=True) if chosen.isdigit() else None
    actions.assign(conversation, whom, agent=request.user)
    return done(request, conversation)


@require_http_methods(["GET", "POST"])
def new(request: DeskRequest) -> HttpResponse:
    """A conversation that we begin."""
    if not Mailbox.objects.exists():
        return redirect("new-mailbox")
    initial = {"key": uuid.uuid4(), "to": request.GET.get("to", "")}
    form = NewConversationForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            part = start_conversation(
                mailbox=form.cleaned_data["mailbox"],
                agent=request.user,
                recipients=form.recipients,
                subject=form.cleaned_data["subject"],
                body=form.cleaned_data["body"],
                key=form.cleaned_data["key"],
            )
        except OSError as error:
            form.add_error(None, f"Nothing was sent. {store_fault(error)}")
        else:
            return redirect("conversation", pk=part.conversation_id)
    status = 422 if form.is_bound else 200
    context = {"heading": "New conversation", "form": form}
    return render(request, "new_conversation.html", context, status=status)


def _conversation(pk: int) -> Conversation:
    found = Conversation.objects.select_related("mailbox", "contact", "assignee", "continues")
    return get_object_or_404(found.prefetch_related("contact__addresses"), pk=pk)


def _agents() -> QuerySet[Agent]:
    return Agent.objects.filter(is_active=True).order_by("name")


def _recent(conversation: Conversation) -> QuerySet[Conversation]:
    """What else this contact has with us, the newest first."""
    return conversation.contact.conversations.exclude(pk=conversation.pk).order_by("-updated_at")[:5]


def _view(request: DeskRequest) -> View:
    """The list that the page was opened from."""
    return BY_SLUG.get(request.GET.get("view", ""), BY_SLUG["open"])


def _page(request: DeskRequest, conversation: Conversation) -> dict[str, Any]:
    view = _view(request)
    prefetch_related_objects([conversation], "participants", "continued_by")
    parts = parts_for_page(conversation, viewer=request.user)
    return {
        "conversation": conversation,
        "view": view,
        "rows": conversations(view, request.user),
        "selected": conversation.pk,
        "parts": parts,
        "agents": _agents(),
        "recent": _recent(conversation),
        **_composer(request, conversation),
    }


def _composer(request: DeskRequest, conversation: Conversation) -> dict[str, Any]:
    """The composer as it opens: with what has been typed before, or to those who take part."""
    draft = Draft.objects.filter(agent=request.user, conversation=conversation).first()
    if draft:
        values = {"to": draft.to, "cc": draft.cc, "bcc": draft.bcc, "body": draft.body, "key": draft.key}
    else:
        to = _usual_recipient(conversation)
        values = {"to": to, "cc": _others(conversation, to), "bcc": "", "body": "", "key": uuid.uuid4()}
    return {"form": ReplyForm(), "values": values, "draft": draft}


def _usual_recipient(conversation: Conversation) -> str:
    """Who wrote last in here; else where the contact wrote from last, or the first address that is not dead."""
    addresses = list(conversation.contact.addresses.all())
    dead = {address.email.lower() for address in addresses if address.dead_since}
    newest = conversation.parts.filter(kind=Part.Kind.CUSTOMER_MESSAGE).last()
    if newest and newest.from_address and newest.from_address.lower() not in dead:
        return newest.from_address
    heard = [
        (address.last_heard_at, address.email)
        for address in addresses
        if address.last_heard_at and not address.dead_since
    ]
    if heard:
        return max(heard)[1]
    alive = [address for address in addresses if not address.dead_since] or addresses
    return alive[0].email if alive else ""


def _others(conversation: Conversation, to: str) -> str:
    """Those who take part beside the one that the reply goes to: the contact too, where a colleague wrote."""
    contact = {address.email.lower() for address in conversation.contact.addresses.all()}
    others = [one.email for one in conversation.participants.all()]
    if to and to.lower() not in contact:
        others = [address.email for address in list(conversation.contact.addresses.all())[:1]] + others
    return ", ".join(email for email in others if email.lower() != to.lower())


def _keep_draft(request: DeskRequest, conversation: Conversation) -> tuple[Draft | None, list[str]]:
    """Keep what the form holds, words and files, whatever becomes of it. Returns the faults of files too."""
    form = DraftForm(request.POST)
    if not form.is_valid():
        return None, []
    draft = actions.save_draft(conversation, agent=request.user, **form.cleaned_data)
    return draft, keep_uploads(request, draft) if draft else []


def _compose_again(
    request: DeskRequest,
    conversation: Conversation,
    form: Any,
    draft: Draft | None,
    *,
    faults: list[str] | None = None,
    stale: str = "",
) -> HttpResponse:
    typed = {name: request.POST.get(name, "") for name in ("to", "cc", "bcc", "body", "key")}
    context = {
        "conversation": conversation,
        "form": form,
        "values": typed,
        "draft": draft,
        "file_faults": faults or [],
        "stale": stale,
    }
    if is_htmx(request):
        return render(request, "fragments/composer.html", context, status=422)
    page = {**_page(request, conversation), **context}
    return render(request, "conversation.html", page, status=422)


def _composed(request: DeskRequest, conversation: Conversation) -> HttpResponse:
    if not is_htmx(request):
        return redirect("conversation", pk=conversation.pk)
    context = {"conversation": conversation, **_composer(request, conversation)}
    response = render(request, "fragments/composer.html", context)
    response.headers["HX-Trigger"] = "changed"
    return response
