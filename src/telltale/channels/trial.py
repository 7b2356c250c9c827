"""Sending a test: one real mail by a mailbox's real way, outside the queue, and what became of it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

from django.conf import settings

from telltale.channels.email import WayOut
from telltale.conversations import dkim_keys
from telltale.conversations.dkim_keys import ascii_domain
from telltale.conversations.fields import UnreadableError
from telltale.conversations.models import Mailbox
from telltale.mail.dkim import signed
from telltale.mail.message import Mail, compose, new_message_id
from telltale.smtp.dialogue import Timeouts
from telltale.smtp.envelope import Envelope
from telltale.smtp.session import AttemptResult

WITHIN = 90.0  # seconds for all of it; an admin looks on
# A server that takes longer than this to say a word is found slow, which is what a test is for.
IMPATIENT = Timeouts(
    connect=10,
    greeting=30,
    hello=20,
    tls=20,
    auth=20,
    mail=20,
    rcpt=30,
    data=20,
    block=20,
    content=60,
    reset=5,
    quit=2,
)
TEXT = """This is a test of the help desk at {host}: mail from {address} leaves by this way.

Nobody needs to do anything about it. Where it arrives is what the test was for.
"""


class FaultError(Exception):
    """The test could not be made, by our own fault; the text says which."""


def send_test(mailbox: Mailbox, address: str) -> AttemptResult:
    """One attempt, whatever comes of it. Blocks for WITHIN seconds at most. Raises FaultError.

    A bounce of it comes to the mailbox itself: there is no delivery that it could be about.
    """
    mailbox.relays_in_order  # noqa: B018  # looked up here: in the event loop nobody may wait for the database
    try:
        envelope = Envelope(mailbox.address, address, _message(mailbox, address))
        return asyncio.run(_send(envelope, mailbox))
    except TimeoutError:
        raise FaultError(f"The test was broken off: it took longer than {WITHIN:g} seconds.") from None
    except Exception as error:
        raise FaultError(f"{type(error).__name__}: {error}") from error


async def _send(envelope: Envelope, mailbox: Mailbox) -> AttemptResult:
    way_out = WayOut.from_environment(settings.ENVIRONMENT, timeouts=IMPATIENT)
    try:
        async with asyncio.timeout(WITHIN):
            return await way_out.send(
                envelope, mailbox, before_contact=_nothing_to_ask, before_content=_nothing_to_note
            )
    finally:
        await way_out.close()


def _message(mailbox: Mailbox, address: str) -> bytes:
    """Signed as every mail of this mailbox is. Raises UnreadableError where a key cannot be read."""
    domain = ascii_domain(mailbox.domain)
    signers = dkim_keys.signers().get(domain, ())
    if isinstance(signers, UnreadableError):
        raise signers
    now = datetime.now(UTC)
    text = TEXT.format(host=settings.ENVIRONMENT.helo_name, address=mailbox.address)
    mail = Mail(
        sender=(mailbox.name, mailbox.address),
        to=[("", address)],
        cc=[],
        subject=f"Test from {mailbox.name} ({uuid.uuid4().hex[:8]})",
        text=text,
        message_id=new_message_id(mailbox.domain),
        date=now,
        auto_submitted="auto-generated",
    )
    return signed(compose(mail), signers, now=now)


async def _nothing_to_ask(host: str) -> None:
    """An incident there holds no test back: to see whether it is over is what a test is for."""


async def _nothing_to_note() -> None:
    """No delivery has to know how far it has come."""
