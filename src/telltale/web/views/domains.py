"""Settings of the domains that mail comes from: DKIM keys, and what DNS says of them. For admins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from telltale.channels.authentication import Authentication, Found, authentication
from telltale.conversations import dkim_keys
from telltale.conversations.dkim_keys import NoKeysError
from telltale.conversations.models import DkimKey
from telltale.mail.dkim import in_strings
from telltale.smtp.route import make_resolver
from telltale.web.requests import DeskRequest, admins_only

DNS_WITHIN = 2.0  # seconds
WHO = "Only an admin can see and change how mail is signed."
_MARKS = {Found.RIGHT: "fine", Found.MISSING: "open", Found.DIFFERENT: "wrong", Found.NO_ANSWER: "open"}


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key, and what DNS has in its place."""

    key: DkimKey
    found: Found
    seen: tuple[str, ...]

    @property
    def mark(self) -> str:
        return _MARKS[self.found]

    @property
    def in_strings(self) -> str:
        return in_strings(self.key.record)

    @property
    def until(self) -> datetime | None:
        """When the record of a retired key may leave DNS."""
        return self.key.retired_at + dkim_keys.STAYS_IN_DNS if self.key.retired_at else None


@require_safe
@admins_only(WHO)
def index(request: DeskRequest) -> HttpResponse:
    """The domains of our mailboxes, and which of them are signed."""
    domains = []
    for name in dkim_keys.our_domains():
        keys = dkim_keys.keys_of(name)
        signing = [key for key in keys if key.signs_since and not key.retired_at]
        domains.append(
            {
                "name": name,
                "has_keys": any(key.signs_since is None for key in keys),
                "signs_since": signing[0].signs_since if signing else None,
            }
        )
    return render(request, "domains.html", _frame("Sending domains") | {"domains": domains})


@require_safe
@admins_only(WHO)
def show(request: DeskRequest, domain: str) -> HttpResponse:
    """The keys of one domain. DNS is asked each time: that is what the page is for."""
    keys = dkim_keys.keys_of(_ours(domain))
    found = _look_up(domain, keys)
    views = [KeyView(key, found.keys[key.name].found, found.keys[key.name].seen) for key in reversed(keys)]
    fresh = [view for view in views if not view.key.signs_since]
    context = {
        "domain": domain,
        "fresh": fresh,
        "all_found": all(view.found is Found.RIGHT for view in fresh),
        "signing": [view for view in views if view.key.signs_since and not view.key.retired_at],
        "retired": [view for view in views if view.key.retired_at],
        "spf": found.spf,
        "dmarc": found.dmarc,
        "helo": settings.ENVIRONMENT.helo_name,
    }
    return render(request, "domain.html", _frame(domain) | context)


@require_POST
@admins_only(WHO)
def keys(request: DeskRequest, domain: str) -> HttpResponse:
    """Make new keys."""
    return _do(request, domain, dkim_keys.make_keys, "The keys are made. Put their records into DNS.")


@require_POST
@admins_only(WHO)
def signing(request: DeskRequest, domain: str) -> HttpResponse:
    """The new keys sign from now on."""
    return _do(request, domain, dkim_keys.start_signing, f"Mail from {domain} is signed from now on.")


@require_POST
@admins_only(WHO)
def retirement(request: DeskRequest, domain: str) -> HttpResponse:
    """Nothing is signed any more."""
    return _do(request, domain, dkim_keys.stop_signing, f"Mail from {domain} leaves unsigned from now on.")


@require_POST
@admins_only(WHO)
def removal(request: DeskRequest, domain: str) -> HttpResponse:
    """Keys that nothing depends on are deleted."""
    return _do(request, domain, dkim_keys.discard, "The keys that never signed are gone.")


def _do(request: DeskRequest, domain: str, verb: Callable[[str], object], done: str) -> HttpResponse:
    try:
        verb(_ours(domain))
    except NoKeysError as error:
        messages.error(request, str(error))
    else:
        messages.info(request, done)
    return redirect("domain", domain=domain)


def _ours(domain: str) -> str:
    if domain not in dkim_keys.our_domains():
        raise Http404("No mailbox sends from this domain.")
    return domain


def _look_up(domain: str, keys: Sequence[DkimKey]) -> Authentication:
    resolver = make_resolver(settings.ENVIRONMENT.dns)
    wanted = {key.name: key.record for key in keys}
    return asyncio.run(authentication(domain, wanted, resolver=resolver, seconds=DNS_WITHIN))


def _frame(heading: str) -> dict[str, object]:
    return {"heading": heading, "page": "settings", "tab": "domains"}
