"""A customer's formatted message in its frame, and the pictures in it."""

from __future__ import annotations

import logging

from django.core import signing
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import cache_control
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from telltale.conversations.models import Attachment, Formatting
from telltale.web import letters, remote_images
from telltale.web.pictures import LONGEST_BEGINNING, picture_type
from telltale.web.requests import DeskRequest

A_DAY = 24 * 60 * 60  # seconds

logger = logging.getLogger(__name__)


@require_safe
@xframe_options_sameorigin
def show(request: DeskRequest, pk: int) -> HttpResponse:
    """The message, cleaned; its text where the HTML is too much. `?images=1` has pictures from elsewhere fetched."""
    found = get_object_or_404(Formatting.objects.select_related("part"), pk=pk)
    wants_images = request.GET.get("images") == "1"
    try:
        shown = letters.shown(found.part, found.html, with_remote_images=wants_images)
    except letters.TooMuchMarkupError:
        logger.warning("the HTML of part %s is too much to be shown", pk)
        shown = None
    answer = render(request, "letter.html", {"part": found.part, "shown": shown})
    answer["Content-Security-Policy"] = letters.POLICY
    return answer


@require_safe
@cache_control(private=True, max_age=A_DAY)
def picture(request: DeskRequest, pk: int) -> HttpResponse:
    """A picture that came with a message, for the frame that shows it; whatever is no picture is not here."""
    found = get_object_or_404(Attachment, pk=pk, part__isnull=False)
    with found.file.open("rb") as file:
        media_type = picture_type(file.read(LONGEST_BEGINNING))
        if not media_type:
            raise Http404
        file.seek(0)
        return _as_picture(media_type, file.read())


@require_safe
@cache_control(private=True, max_age=A_DAY)
def remote_image(request: DeskRequest, signed: str) -> HttpResponse:
    """A picture from elsewhere, fetched by the desk; only at addresses that a frame of ours was given."""
    try:
        address = letters.remote_image_address(signed)
    except signing.BadSignature:
        raise Http404 from None
    try:
        return _as_picture(*remote_images.fetch(address))
    except remote_images.NoPictureError as error:
        logger.info("no picture from elsewhere: %s", error)
        raise Http404 from error


def _as_picture(media_type: str, octets: bytes) -> HttpResponse:
    return HttpResponse(
        octets,
        content_type=media_type,
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cross-Origin-Resource-Policy": "same-origin",
        },
    )
