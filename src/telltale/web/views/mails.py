"""A mail as it came in, every header and octet of it: for people who want to see for themselves."""

from __future__ import annotations

import logging
import re

from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from telltale.conversations.models import Conversation, RawMail
from telltale.mail.decoding import text_of
from telltale.web.requests import DeskRequest
from telltale.web.views.files import as_download

MOST_SHOWN = 200_000  # octets of a mail on its page; the download has all of it

# What a browser would not show, and what turns the reading direction round: here they are to be seen.
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")

logger = logging.getLogger(__name__)


@require_safe
def show(request: DeskRequest, pk: int) -> HttpResponse:
    """The beginning of the mail, as text: nothing in it is run, fetched or decoded."""
    mail = get_object_or_404(RawMail, pk=pk)
    context = {"heading": "Mail as it came", "mail": mail, "conversation": _conversation_of(mail)}
    try:
        with mail.content.open("rb") as file:
            octets = file.read(MOST_SHOWN)
    except OSError:
        logger.exception("the stored mail %s cannot be read", mail.pk)
        return render(request, "mail.html", {**context, "is_gone": True}, status=500)
    context |= {"text": _visible(text_of(octets)), "is_cut": mail.size > len(octets)}
    return render(request, "mail.html", context)


@require_safe
def download(request: DeskRequest, pk: int) -> FileResponse:
    mail = get_object_or_404(RawMail, pk=pk)
    return as_download(mail.content.open("rb"), name=f"mail-{mail.pk}.eml")


def _visible(text: str) -> str:
    return _HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _conversation_of(mail: RawMail) -> Conversation | None:
    """Where it was put: as a customer's message, or as a report on a reply."""
    by_part = Conversation.objects.filter(parts__raw_mail=mail)
    by_report = Conversation.objects.filter(parts__messages__deliveries__reports__returned_mail=mail)
    return by_part.first() or by_report.first()
