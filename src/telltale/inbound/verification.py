"""Whether a mail comes from whom it names: by our own look at SPF and DKIM, or by what a server says that we trust.

Verified is a sender whose domain in From stands behind the mail: by an SPF record that allows the host that handed it
over (RFC 7208), or by a DKIM signature of that domain (RFC 6376). The domains need to be the same, one below the
other, or both below the domain whose DMARC record speaks for them (RFC 7489 section 3.1, relaxed). That one is found
by going up the tree of DNS, as DMARC's successor does it, and not by a list of public suffixes.

Rule: what could not be looked up is not known, and nobody is called a forger for it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dkim
import dns.exception
import dns.resolver
import spf

PASS, FAIL = "pass", "fail"
SECONDS = 8.0  # for all questions about one mail
SECONDS_PER_QUESTION = 3.0
MOST_OCTETS = 20_000_000  # of a mail whose signature is looked at
MOST_SIGNATURES = 3  # RFC 6376 section 6.1 lets a verifier bound them
MOST_LABELS = 5  # of a domain, from the right: so deep the tree is climbed
MOST_RESULTS = 10  # headers

# Whose Authentication-Results stand on top of what a provider hands over by IMAP; Microsoft gives itself no name.
OF_PROVIDERS = {"imap.gmail.com": "mx.google.com", "outlook.office365.com": ""}

_TAG = re.compile(r"(?:^|;)\s*(\w+)\s*=\s*([^;\s]+)")
_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"\s*(dmarc|dkim|spf)\s*=\s*(\w+)", re.IGNORECASE)
_PROPERTY = re.compile(
    r"\b(header\.d|header\.i|header\.from|smtp\.mailfrom)\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE
)


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verification:
    """`outcome` is PASS, FAIL or "", which is not known; `text` says why."""

    outcome: str = ""
    text: str = ""


UNKNOWN = Verification()


class LookupFailedError(Exception):
    """DNS did not answer: nothing is known."""


def check(
    content: bytes, from_address: str, *, peer: str, mail_from: str, resolver: dns.resolver.Resolver
) -> Verification:
    """By our own look. `peer` is the address of the host that handed the mail over. Blocks, SECONDS at most."""
    domain = _domain(from_address)
    if not domain or len(content) > MOST_OCTETS:
        return UNKNOWN
    ask = Questions(resolver)
    try:
        policy = _dmarc(domain, ask)
        if by := _signed_by(content, domain, policy.of, ask):
            return Verification(PASS, f"signed by {by} (DKIM)")
        envelope = _domain(mail_from)
        outcome = _spf(peer, mail_from, ask) if envelope else "none"
    except LookupFailedError:
        return UNKNOWN
    if outcome == "pass" and is_aligned(envelope, domain, policy.of):
        return Verification(PASS, f"{envelope} allows {peer} to send its mail (SPF)")
    asks = f". {policy.of} asks servers to {policy.wish} such mail (DMARC)" if policy.wish else ""
    return Verification(FAIL, f"{_why(domain, envelope, outcome, peer)}{asks}")


def by_results(results: Sequence[str], from_address: str, *, trusted: Sequence[str]) -> Verification:
    """By the Authentication-Results (RFC 8601) on top that a server of these names wrote.

    What stands below the first one of another name may have been written by anybody.
    """
    domain = _domain(from_address)
    found: dict[str, tuple[str, str]] = {}
    for value in results[:MOST_RESULTS]:
        name, said = _parsed(value)
        if name not in trusted:
            break
        for method, outcome, by in said:
            if method not in found or outcome == "pass":  # one signature that holds is enough
                found[method] = (outcome, by)
    return _concluded(found, domain)


def is_aligned(one: str, other: str, above: str = "") -> bool:
    """`above` is the domain that speaks for `other`, where one does."""
    if one == other or one.endswith(f".{other}") or other.endswith(f".{one}"):
        return True
    return bool(above) and (one == above or one.endswith(f".{above}"))


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain asks of who gets mail in its name that it does not stand behind: RFC 7489 section 6.3."""

    of: str = ""  # the domain whose record it is
    wish: str = ""  # "reject", "quarantine"; "" where it asks for nothing


def _dmarc(domain: str, ask: Questions) -> Policy:
    """The record of the domain, or of the highest one above it that has one."""
    found = Policy()
    labels = domain.split(".")[-MOST_LABELS:]
    for count in range(len(labels), 1, -1):
        name = ".".join(labels[-count:])
        texts = [
            b"".join(record.strings).decode("ascii", "replace")
            for record in ask.records(f"_dmarc.{name}", "TXT")
        ]
        record = next((text for text in texts if text.replace(" ", "").lower().startswith("v=dmarc1")), "")
        tags = dict(_TAG.findall(record.lower()))
        if record and tags.get("psd") != "y":  # that one speaks for a public suffix: RFC 9091
            wish = tags.get("p", "") if name == domain else tags.get("sp", tags.get("p", ""))
            found = Policy(name, found.wish if found.of else wish if wish in ("reject", "quarantine") else "")
    return found


def _concluded(found: dict[str, tuple[str, str]], domain: str) -> Verification:
    if not domain or not found:
        return UNKNOWN
    dmarc = found.get("dmarc", ("none", ""))[0]
    if dmarc == "pass":
        return Verification(PASS, f"{domain} stands behind it (DMARC)")
    for method, name in (("dkim", "DKIM"), ("spf", "SPF")):
        outcome, by = found.get(method, ("none", ""))
        if outcome == "pass" and by and is_aligned(by, domain):
            return Verification(PASS, f"by {by} ({name})")
    if any(outcome == "temperror" for outcome, _ in found.values()):
        return UNKNOWN
    said = ", ".join(f"{method} {outcome}" for method, (outcome, _) in sorted(found.items()))
    return Verification(FAIL, f"your mail server found for {domain}: {said}")


def _parsed(value: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Whose results these are, and of each method what came out and for which domain."""
    plain = " ".join(_COMMENT.sub(" ", value).split())
    first, _, rest = plain.partition(";")
    is_nameless = bool(_RESULT.match(first))
    results = []
    for piece in (plain if is_nameless else rest).split(";"):
        if result := _RESULT.match(piece):
            properties = {name.lower(): text for name, text in _PROPERTY.findall(piece)}
            named = (
                properties.get("header.d")
                or properties.get("header.i")
                or properties.get("smtp.mailfrom")
                or ""
            )
            results.append((result[1].lower(), result[2].lower(), _domain(f"@{named.rpartition('@')[2]}")))
    return "" if is_nameless else first.split()[0].lower() if first.split() else "?", results


def _domain(address: str) -> str:
    domain = address.rpartition("@")[2].strip("<>. ").lower()
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return ""


def _why(domain: str, envelope: str, outcome: str, peer: str) -> str:
    signed = f"{domain} has not signed it (DKIM)"
    if not envelope or outcome in ("none", "neutral"):
        return f"{signed}, and does not say who sends its mail (SPF)"
    if outcome == "pass":
        return f"{signed}; it was sent by {envelope}"
    return f"{signed}, and {envelope} does not allow {peer} to send its mail (SPF: {outcome})"


# Asking


def blocking_resolver(nameserver: tuple[str, int] | None) -> dns.resolver.Resolver:
    """Asks the system's name servers, or the one at this address and port."""
    resolver = dns.resolver.Resolver(configure=nameserver is None)
    if nameserver:
        address, resolver.port = nameserver
        resolver.nameservers = [address]
    return resolver


class Questions:
    """Asks DNS, until the time for one mail is over."""

    def __init__(
        self, resolver: dns.resolver.Resolver, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._resolver, self._clock = resolver, clock
        self._end = clock() + SECONDS

    def records(self, name: str, kind: str) -> list[Any]:
        """Raises LookupFailedError; an empty list is an answer."""
        left = min(self._end - self._clock(), SECONDS_PER_QUESTION)
        if left <= 0:
            raise LookupFailedError
        try:
            return list(self._resolver.resolve(name, kind, lifetime=left))
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN, dns.exception.SyntaxError, ValueError):
            return []
        except dns.exception.DNSException as error:
            raise LookupFailedError from error


def _signed_by(content: bytes, domain: str, above: str, ask: Questions) -> str:
    """The domain of a signature that holds and is that of the sender; "" where there is none."""

    def text(name: bytes, timeout: float = SECONDS_PER_QUESTION) -> bytes | None:
        found = ask.records(name.decode("ascii", "replace"), "TXT")
        return b"".join(found[0].strings) if found else None

    for number in range(MOST_SIGNATURES):
        by = _domain_of_signature(content, number, text)
        if by and is_aligned(by, domain, above):
            return by
    return ""


def _domain_of_signature(content: bytes, number: int, text: Callable[..., bytes | None]) -> str:
    """The domain of this signature where it holds, else ""; strangers write these, and the library may trip."""
    signature = dkim.DKIM(content)
    try:
        if signature.verify(idx=number, dnsfunc=text):
            return str((signature.domain or b"").decode("ascii", "replace").lower())
    except LookupFailedError:
        raise
    except Exception:
        return ""
    return ""


def _spf(peer: str, mail_from: str, ask: Questions) -> str:
    """RFC 7208 section 2.6: "pass", "fail", "softfail", "neutral", "none"; an error of the record counts as none."""

    class Query(spf.query):  # type: ignore[misc]  # comes without types
        """Asks our resolver, where the library would ask the system's."""

        def dns(self, name: str, kind: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:
            try:
                return _values(ask.records(name, kind), kind) if name else []
            except LookupFailedError as error:
                raise spf.TempError(str(error)) from error

    try:
        outcome, _code, _text = Query(i=peer, s=mail_from, h="unknown", querytime=SECONDS).check()
    except Exception as error:  # strangers write the records too, and a fault of ours makes nobody a forger
        logger.exception("could not look at the SPF record of %s", mail_from)
        raise LookupFailedError from error
    if outcome == "temperror":
        raise LookupFailedError
    return "none" if outcome == "permerror" else str(outcome)


def _values(records: list[Any], kind: str) -> list[Any]:
    """As pyspf wants them."""
    if kind in ("A", "AAAA"):
        return [record.address for record in records]
    if kind == "MX":
        return [(record.preference, record.exchange.to_text(True)) for record in records]
    if kind == "PTR":
        return [record.target.to_text(True) for record in records]
    return [record.strings for record in records]
