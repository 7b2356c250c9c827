"""The keys that sign a domain's mail: made, put to use, replaced, retired.

Rule: a domain's keys change all together, so that each mail has one signature of each algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from itertools import count

import idna
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from telltale.conversations.fields import UnreadableError, readable
from telltale.conversations.models import DkimKey, Mailbox
from telltale.mail.dkim import Algorithm, Signer, new_key, record

STAYS_IN_DNS = timedelta(days=7)  # behind its last signature: mail is tried for five days, then read
_LETTERS = {Algorithm.RSA: "r", Algorithm.ED25519: "e"}


class NoKeysError(ValueError):
    """There are no keys that could do this; the text says what to do first."""


def ascii_domain(domain: str) -> str:
    """The domain as DNS and signatures name it, in A-labels: RFC 6376 section 3.5."""
    return domain.lower() if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")


def our_domains() -> list[str]:
    """The domains that our mailboxes send from, in order."""
    return sorted({ascii_domain(mailbox.domain) for mailbox in Mailbox.objects.all()})


def keys_of(domain: str) -> Sequence[DkimKey]:
    """All of them, the newest first."""
    return list(DkimKey.objects.filter(domain=domain))


def make_keys(domain: str) -> list[DkimKey]:
    """A new key of each algorithm. They sign nothing before `start_signing`: first their records go into DNS."""
    made = {algorithm: new_key(algorithm) for algorithm in Algorithm}
    with transaction.atomic():
        _lock(domain)
        selectors = _free_selectors(domain)
        return [
            DkimKey.objects.create(
                domain=domain,
                selector=f"{selectors}{_LETTERS[algorithm]}",
                algorithm=algorithm,
                private_key=pem,
                record=record(pem, algorithm),
            )
            for algorithm, pem in made.items()
        ]


@transaction.atomic
def start_signing(domain: str) -> None:
    """From now on the newest keys sign; those that did so far retire. Raises NoKeysError without new keys."""
    _lock(domain)
    fresh = _fresh(domain)
    if not fresh:
        raise NoKeysError(f"There are no new keys for {domain}. Make keys first.")
    stop_signing(domain)
    DkimKey.objects.filter(pk__in=[key.pk for key in fresh]).update(signs_since=timezone.now())


def stop_signing(domain: str) -> None:
    """The keys that sign retire; mail leaves unsigned, or with the keys that are started next."""
    _signing().filter(domain=domain).update(retired_at=timezone.now())


def discard(domain: str) -> None:
    """Delete the keys that nothing depends on: those that never signed, and those that retired long ago."""
    long_ago = Q(retired_at__lt=timezone.now() - STAYS_IN_DNS)
    DkimKey.objects.filter(long_ago | Q(signs_since=None), domain=domain).delete()


def signers() -> Mapping[str, Sequence[Signer] | UnreadableError]:
    """By domain, the keys that sign its mail; where one of them cannot be read, why."""
    found: dict[str, list[Signer]] = {}
    unreadable: dict[str, UnreadableError] = {}
    for key in _signing().order_by("id"):
        try:
            pem = readable(key.private_key)
        except UnreadableError as error:
            unreadable[key.domain] = error
        else:
            found.setdefault(key.domain, []).append(_signer(key.domain, key.selector, key.algorithm, pem))
    return {**found, **unreadable}


@lru_cache(maxsize=1_000)  # to take a key apart costs more than to sign with it
def _signer(domain: str, selector: str, algorithm: str, pem: str) -> Signer:
    return Signer.of(domain=domain, selector=selector, algorithm=Algorithm(algorithm), pem=pem)


def _signing() -> QuerySet[DkimKey]:
    return DkimKey.objects.filter(signs_since__isnull=False, retired_at=None)


def _fresh(domain: str) -> list[DkimKey]:
    """The newest of each algorithm that has not signed yet."""
    waiting = DkimKey.objects.filter(domain=domain, signs_since=None).order_by("id")
    return list({key.algorithm: key for key in waiting}.values())


def _free_selectors(domain: str) -> str:
    """What the new selectors begin with: the month, and a number from the second time on."""
    taken = set(DkimKey.objects.filter(domain=domain).values_list("selector", flat=True))
    month = f"tt{timezone.now():%Y%m}"
    numbered = (month if number == 1 else f"{month}-{number}" for number in count(1))
    return next(
        name for name in numbered if not any(f"{name}{letter}" in taken for letter in _LETTERS.values())
    )


def _lock(domain: str) -> None:
    """Whoever changes a domain's keys waits for others who do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"telltale dkim {domain}"])
