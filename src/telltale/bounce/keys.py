"""What a mail tells about the mail that it answers."""

from __future__ import annotations

import re

from telltale.bounce.delivery_status import Fields
from telltale.bounce.notice import LONGEST_ENCLOSED, Notice
from telltale.bounce.returned import Keys
from telltale.mail.addresses import addresses_in
from telltale.mail.mime import ENCLOSED, Part

MOST_ADDRESSES = 20
MOST_IDS = 100
MOST_ENCLOSED = 5
LONGEST_VALUE = 20_000  # characters of one field that are looked at

_CAME_TO = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "to")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}+>")


def keys_of(notice: Notice, groups: list[Fields]) -> Keys:
    """The keys to the mail that came back. None of them is proof: anybody can write them."""
    message_ids: dict[str, None] = {}
    returned_references: dict[str, None] = {}
    for mail in _returned(notice):
        message_ids.update(dict.fromkeys(_ids(mail.header("message-id"))[:1]))
        returned_references.update(dict.fromkeys(_answered(mail)))
    return Keys(
        return_path_to=tuple(_came_to(notice.mail))[:MOST_ADDRESSES],
        original_envelope_id=_envelope_id(groups),
        message_ids=tuple(message_ids),
        references=tuple(dict.fromkeys(_answered(notice.mail))),
        returned_references=tuple(returned_references),
    )


def _came_to(mail: Part) -> dict[str, None]:
    addresses: dict[str, None] = {}
    for name in _CAME_TO:
        for value in mail.headers(name)[:MOST_ADDRESSES]:
            for address in addresses_in(value[:LONGEST_VALUE]):
                addresses[address] = None
    return addresses


def _envelope_id(groups: list[Fields]) -> str:
    for fields in groups:
        for name, value in fields:
            if name == "original-envelope-id":
                return value
    return ""


def _returned(notice: Notice) -> list[Part]:
    """The mail that came back; more than one, where several are enclosed."""
    mails = [notice.returned] if notice.returned is not None else []
    if len(notice.parts) > 1:
        enclosed = [part for part in notice.parts[1:] if part.content_type in ENCLOSED]
        mails += [part.enclosed(LONGEST_ENCLOSED) for part in enclosed[1:MOST_ENCLOSED]]
    return mails


def _answered(mail: Part) -> list[str]:
    """The ids in In-Reply-To and References."""
    if "in-reply-to" not in mail.fields and "references" not in mail.fields:
        return []
    return _ids(f"{mail.header('in-reply-to')} {mail.header('references')}")


def _ids(value: str) -> list[str]:
    return _MESSAGE_ID.findall(value[:LONGEST_VALUE])[:MOST_IDS]
