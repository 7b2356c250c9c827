"""Where e-mail services tell what became of our mail, and hand over what they took for us: secret addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from telltale.conversations.fields import UnreadableError, readable
from telltale.conversations.models import Relay
from telltale.inbound import service_mail
from telltale.inbound.service_events import VIEWS, NotTakenError, hear, note_fault
from telltale.inbound.service_mail import HOW

logger = logging.getLogger(__name__)


@csrf_exempt
@login_not_required
@require_http_methods(["HEAD", "POST"])
def take(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """200 once all of it is kept. Whatever else we answer, the service tells it again."""
    return _taken(request, _relay(pk, token, among=VIEWS), hear)


@csrf_exempt
@login_not_required
@require_http_methods(["HEAD", "POST"])
def take_mail(request: HttpRequest, pk: int, token: str) -> HttpResponse:
    """200 once the mail is kept. Whatever else we answer, the service hands it over again."""
    return _taken(request, _relay(pk, token, among=HOW), service_mail.take)


def _taken(request: HttpRequest, relay: Relay, keep: Callable[[Relay, HttpRequest], object]) -> HttpResponse:
    if request.method == "HEAD":  # some look whether there is somebody before they save the address
        return HttpResponse()
    try:
        keep(relay, request)
    except NotTakenError as error:
        return _refused(relay, str(error), status=400)
    except RequestDataTooBig:
        return _refused(relay, "The service sent more at once than this desk takes.", status=413)
    except UnreadableError as error:
        return _refused(relay, str(error), status=503)
    return HttpResponse()


def _relay(pk: int, token: str, *, among: Iterable[str]) -> Relay:
    """The relay with this secret address. Raises Http404; what differs is never told."""
    relay = Relay.objects.filter(pk=pk, service__in=among).select_related("mailbox").first()
    if relay is None or not constant_time_compare(readable(relay.events_token), token):
        raise Http404
    return relay


def _refused(relay: Relay, why: str, *, status: int) -> HttpResponse:
    logger.warning("what %s sends is not taken: %s", relay.service, why)
    note_fault(relay, why)
    return HttpResponse(why, status=status, content_type="text/plain")
