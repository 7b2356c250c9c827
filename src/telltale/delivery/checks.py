"""What would keep a reply from arriving, looked up before it is sent. It advises; it never stops anybody.

Quick by construction: a few indexed rows, and DNS with two seconds at most for all addresses together. What could
not be found out in time is not mentioned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from django.db.models.functions import Lower

from telltale.bounce import explain
from telltale.channels.authentication import Found, authentication
from telltale.conversations.dkim_keys import ascii_domain, keys_of
from telltale.conversations.models import Address, Mailbox
from telltale.delivery.holds import last_proof
from telltale.delivery.models import Destination, Incident
from telltale.mail.report import Action
from telltale.mail.typos import suggest_domain
from telltale.smtp.route import NoRoute, mail_hops, make_resolver

DNS_WITHIN = 2.0  # seconds
DNS_KEPT = 300  # seconds for which a domain's answer is remembered
MOST_DOMAINS = 10
BASE64_GROWTH = 1.37  # of a file on the wire, with its line ends: RFC 2045 section 6.8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know before pressing Send."""

    text: str
    address: str = ""
    suggestion: str = ""  # the address that was likely meant
    will_be_held: bool = False  # and goes out only if the agent insists


def findings(mailbox: Mailbox, addresses: Sequence[str], *, octets: int = 0) -> list[Finding]:
    """What stands in the way of these addresses; `octets` is how large the files of the reply are."""
    dead = _dead(addresses)
    rest = [address for address in addresses if address.lower() not in dead]
    return [
        *_about_mailbox(mailbox),
        *(_about_dead(address) for address in addresses if address.lower() in dead),
        *_about_domains(rest),
        *_about_incidents(rest),
        *_about_size(rest, octets),
    ]


def _dead(addresses: Sequence[str]) -> set[str]:
    lowered = {address.lower() for address in addresses}
    known = Address.objects.annotate(lower=Lower("email")).filter(lower__in=lowered, dead_since__isnull=False)
    return set(known.values_list("lower", flat=True))


def _about_mailbox(mailbox: Mailbox) -> list[Finding]:
    found = []
    if mailbox.paused_at:
        found.append(Finding(f"The mailbox {mailbox.address} is paused: the reply waits until it goes on."))
    # A relay signs by itself, and has addresses of its own; and who gets mail in the sandbox asks for neither.
    if mailbox.way == Mailbox.Way.DIRECT and not settings.ENVIRONMENT.sandbox:
        domain = ascii_domain(mailbox.domain)
        words = cache.get_or_set(f"our-domain:{domain}", lambda: _unauthenticated(domain), DNS_KEPT)
        found += [Finding(words)] if words else []
    return found


def _unauthenticated(domain: str) -> str:
    """Why others may not believe that mail from this domain of ours is ours; "" where nothing speaks for it."""
    resolver = make_resolver(settings.ENVIRONMENT.dns)
    keys = {key.name: key.record for key in keys_of(domain) if key.signs_since and not key.retired_at}
    found = asyncio.run(authentication(domain, keys, resolver=resolver, seconds=DNS_WITHIN))
    if any(record.found in (Found.MISSING, Found.DIFFERENT) for record in found.keys.values()):
        return (
            f"Mail from {domain} is signed, but the keys in DNS are not the ones it is signed with: providers may "
            "refuse it. Settings, Sending domains tells an admin which record is missing."
        )
    if not keys and found.spf.found is Found.MISSING:
        return (
            f"Nothing tells others that mail from {domain} is really yours (no DKIM, no SPF): large providers "
            "refuse such mail. An admin can mend that in Settings, Sending domains."
        )
    return ""


def _about_dead(address: str) -> Finding:
    proof = last_proof(address)
    why = explain(proof.as_recipient_report()).title if proof else "It was refused for good"
    return Finding(
        f"No mail reaches this address. {why}.",
        address=address,
        suggestion=suggest_domain(address),
        will_be_held=True,
    )


def _about_domains(addresses: Sequence[str]) -> list[Finding]:
    troubles = _domains_without_mail(sorted({_domain(address) for address in addresses})[:MOST_DOMAINS])
    found = []
    for address in addresses:
        trouble, suggestion = troubles.get(_domain(address), ""), suggest_domain(address)
        if trouble or suggestion:
            text = f"{trouble}." if trouble else "Is the domain spelt right?"
            found.append(Finding(text, address=address, suggestion=suggestion))
    return found


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _domains_without_mail(domains: Sequence[str]) -> dict[str, str]:
    """The domains that cannot take mail, and why; "" is remembered of those that can."""
    keys = {domain: f"mail-domain:{domain}" for domain in domains}
    known = cache.get_many(keys.values())
    unknown = [domain for domain in domains if keys[domain] not in known]
    looked_up = asyncio.run(_look_up(unknown)) if unknown else {}
    cache.set_many({keys[domain]: trouble for domain, trouble in looked_up.items()}, DNS_KEPT)
    return {domain: known.get(keys[domain], "") for domain in domains} | looked_up


async def _look_up(domains: Sequence[str]) -> dict[str, str]:
    """What DNS says for good about these domains; those without an answer in time are left out."""
    environment = settings.ENVIRONMENT
    resolver = make_resolver(environment.dns)
    tasks = {
        domain: asyncio.ensure_future(
            mail_hops(domain, resolver=resolver, ports_from_srv=environment.sandbox)
        )
        for domain in domains
    }
    done, late = await asyncio.wait(tasks.values(), timeout=DNS_WITHIN)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return {domain: _trouble(task.result()) for domain, task in tasks.items() if task in done}


def _trouble(route: object) -> str:
    if not isinstance(route, NoRoute):
        return ""
    report = route.to_report("somebody")
    return explain(report).title if report.action == Action.FAILED else ""


def _about_incidents(addresses: Sequence[str]) -> list[Finding]:
    incidents = {
        incident.provider: incident
        for incident in Incident.objects.filter(closed_at=None).exclude(provider="")
    }
    if not incidents:
        return []
    providers = dict(
        Destination.objects.filter(
            name__in={_domain(address) for address in addresses}, provider__in=incidents
        ).values_list("name", "provider")
    )
    return [
        Finding(
            f"{providers[_domain(address)]} takes none of our mail at the moment: the reply will wait.",
            address=address,
        )
        for address in addresses
        if _domain(address) in providers
    ]


def _about_size(addresses: Sequence[str], octets: int) -> list[Finding]:
    size = round(octets * BASE64_GROWTH)
    too_small = dict(
        Destination.objects.filter(
            name__in={_domain(address) for address in addresses}, size_limit__gt=0, size_limit__lt=size
        ).values_list("name", "size_limit")
    )
    return [
        Finding(
            f"With its files the mail has {size / 1e6:.1f} MB, and they take "
            f"{(too_small[_domain(address)] or 0) / 1e6:.1f} MB. Share a link to the file instead.",
            address=address,
        )
        for address in addresses
        if _domain(address) in too_small
    ]
