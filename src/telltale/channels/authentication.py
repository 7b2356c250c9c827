"""Whether others can verify that mail in our name is ours: what DNS holds for a domain of ours.

Rule: only what DNS said is told. Nobody here knows what our servers' addresses look like from outside, so an SPF
record is found or not found, and never called right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from telltale.smtp.route import NoRoute, Resolver, look_up

MOST_SHOWN = 5  # records of one name
LONGEST_SHOWN = 1_000  # characters of one record


class Found(StrEnum):
    RIGHT = "right"
    DIFFERENT = "different"  # there is one, and it is not ours
    MISSING = "missing"
    NO_ANSWER = "no answer"  # nobody can tell at the moment


@dataclass(frozen=True, slots=True)
class Record:
    """What stands at one name in DNS, beside what should."""

    name: str
    wanted: str  # "" where any record of its kind will do
    found: Found
    seen: tuple[str, ...] = ()  # the TXT records there


@dataclass(frozen=True, slots=True)
class Authentication:
    """SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489) of one domain."""

    keys: Mapping[str, Record]  # by name
    spf: Record
    dmarc: Record


async def authentication(
    domain: str, keys: Mapping[str, str], *, resolver: Resolver, seconds: float
) -> Authentication:
    """What DNS holds for `domain` and for the `keys`: names, and the record that should stand there.

    Takes `seconds` at most; what has not answered by then is "no answer".
    """
    names = [domain, f"_dmarc.{domain}", *keys]
    tasks = [asyncio.create_task(_texts(name, resolver)) for name in names]
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    texts = {name: None if task in late else task.result() for name, task in zip(names, tasks, strict=True)}
    return Authentication(
        keys={name: _key(name, wanted, texts[name]) for name, wanted in keys.items()},
        spf=_policy(domain, "v=spf1", texts[domain]),
        dmarc=_policy(f"_dmarc.{domain}", "v=dmarc1", texts[f"_dmarc.{domain}"]),
    )


async def _texts(name: str, resolver: Resolver) -> list[str] | None:
    """The TXT records of this name, each put together (RFC 7208 section 3.3); None where there was no answer."""
    found = await look_up(name, "TXT", resolver)
    if isinstance(found, NoRoute):
        return None
    return [b"".join(record.strings).decode("utf-8", "backslashreplace") for record in found.records]


def _policy(name: str, version: str, texts: Sequence[str] | None) -> Record:
    if texts is None:
        return Record(name, "", Found.NO_ANSWER)
    seen = [text for text in texts if text.lower().replace(" ", "").startswith(version)]
    return Record(name, "", Found.RIGHT if seen else Found.MISSING, _shown(seen))


def _key(name: str, wanted: str, texts: Sequence[str] | None) -> Record:
    """Right where one of the records has the same public key, however its other tags are written."""
    if texts is None:
        return Record(name, wanted, Found.NO_ANSWER)
    if not texts:
        return Record(name, wanted, Found.MISSING)
    is_right = any(_public_key(text) == _public_key(wanted) for text in texts)
    return Record(name, wanted, Found.RIGHT if is_right else Found.DIFFERENT, _shown(texts))


def _public_key(text: str) -> str:
    """The "p=" of a key record, without the blanks that may stand in it: RFC 6376 section 3.6.1."""
    tags = (tag.partition("=") for tag in text.split(";"))
    return next(("".join(value.split()) for name, _, value in tags if name.strip() == "p"), "")


def _shown(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text[:LONGEST_SHOWN] for text in texts[:MOST_SHOWN])
