"""Files that go with a reply: kept with the draft as soon as they are chosen."""

from __future__ import annotations

import logging
from typing import Any

from django.core.files.base import File
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from telltale.conversations import actions
from telltale.conversations.models import Attachment, Conversation, Draft
from telltale.web.forms import DraftForm, most_octets
from telltale.web.requests import DeskRequest
from telltale.web.views.answers import is_htmx

logger = logging.getLogger(__name__)


@require_POST
def attachments(request: DeskRequest, pk: int) -> HttpResponse:
    """Keep the chosen files with the draft; what is too large is said at the field."""
    conversation = get_object_or_404(Conversation, pk=pk)
    form = DraftForm(request.POST)
    if not form.is_valid():
        return render(request, "fragments/files.html", {"file_faults": ["The text is too long."]}, status=422)
    draft = actions.save_draft(conversation, agent=request.user, **form.cleaned_data)
    faults = keep_uploads(request, draft) if draft else ["This reply was sent already: reload the page."]
    context = {"draft": draft, "file_faults": faults, "conversation": conversation}
    return render(request, "fragments/files.html", context, status=422 if faults else 200)


def keep_uploads(request: DeskRequest, draft: Draft) -> list[str]:
    """Attach every uploaded file. Returns what could not be taken, in words."""
    faults = []
    for upload in request.FILES.getlist("files"):
        try:
            actions.attach(draft, upload, most=most_octets())
        except actions.TooLargeError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"{upload.name} was not taken. {store_fault(error)}")
    return faults


def store_fault(error: OSError) -> str:
    """What to tell somebody whose file or mail could not be written, and the admin in the log."""
    logger.error("the store of files takes nothing", exc_info=error)
    return (
        f"The desk cannot store files at the moment ({error.strerror or error}): an admin has to make room."
    )


@require_POST
def removal(request: DeskRequest, pk: int) -> HttpResponse:
    attachment = get_object_or_404(Attachment, pk=pk, draft__agent=request.user)
    draft = Draft.objects.select_related("conversation").get(attachments=attachment)
    actions.detach(attachment)
    if is_htmx(request):
        return render(request, "fragments/files.html", {"draft": draft, "conversation": draft.conversation})
    return redirect("conversation", pk=draft.conversation_id)


@require_safe
def attachment(request: DeskRequest, pk: int) -> FileResponse:
    """A download, never a page: whatever the file calls itself, a browser must not run it here."""
    found = get_object_or_404(Attachment, pk=pk)
    return as_download(found.file.open("rb"), name=found.name)


def as_download(file: File[Any], *, name: str) -> FileResponse:
    """Octets of a stranger, on their way to a disk."""
    return FileResponse(
        file,
        as_attachment=True,
        filename=name,
        content_type="application/octet-stream",
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )
