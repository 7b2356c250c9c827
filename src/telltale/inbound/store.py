"""What comes in through any door is kept: whole, on the disk and in the database, before anybody is told so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone

from telltale.bounce import Kind, Returned
from telltale.conversations.models import Mailbox, RawMail
from telltale.inbound.verification import UNKNOWN, Verification
from telltale.mail.reply_address import ReplyAddress
from telltale.mail.reply_address import verify as verify_reply
from telltale.mail.report import Action
from telltale.mail.return_path import ReturnPath, verify
from telltale.mail.signing import Fault

OF_REPORTS = {Kind.BOUNCE: Action.FAILED, Kind.DELAYED: Action.DELAYED, Kind.DELIVERED: Action.DELIVERED}


def refusal_for(address: str) -> str:
    """Why we do not take mail for this address; "" where we do."""
    refusal = refusal_by_itself(address)
    if refusal is not None:
        return refusal
    return "" if mailbox_of(address) else "is no mailbox of this desk"


def refusal_by_itself(address: str) -> str | None:
    """The same, as far as the address tells it; None where the database has to be asked.

    So a storm of forged bounces costs the database nothing.
    """
    if not address.isprintable():  # NUL, octets that are no UTF-8: nothing that a database could look up
        return "is no address"
    proof = verify(address, keys=settings.RETURN_PATH_KEYS, now=timezone.now())
    if isinstance(proof, ReturnPath):
        return ""
    if proof is not Fault.NOT_OURS:
        return f"is no return path of ours: {proof}"
    answer = verify_reply(address, keys=settings.REPLY_ADDRESS_KEYS)
    if answer is Fault.FORGED:
        return f"is no reply address of ours: {answer}"
    return None


def mailbox_of(address: str) -> Mailbox | None:
    """The mailbox that takes mail for this address: by its own, or by a reply address that we signed for it."""
    answer = verify_reply(address, keys=settings.REPLY_ADDRESS_KEYS)
    named = answer.mailbox if isinstance(answer, ReplyAddress) else address
    return Mailbox.objects.filter(address__iexact=named).first()


@transaction.atomic
def store(
    content: bytes,
    *,
    door: str,
    mail_from: str,
    recipients: Iterable[str],
    peer: str,
    verification: Verification = UNKNOWN,
) -> list[RawMail]:
    """Keep the mail as it came, once for each recipient: all or nothing, since one answer counts for all.

    When this returns and the transaction is committed, it cannot be lost.
    """
    once = {recipient.lower(): recipient for recipient in recipients}.values()
    return [
        keep(content, door=door, mail_from=mail_from, rcpt_to=one, peer=peer, verification=verification)
        for one in once
    ]


def keep(
    content: bytes,
    *,
    door: str,
    mail_from: str,
    rcpt_to: str,
    peer: str,
    size: int = 0,
    verification: Verification = UNKNOWN,
    fate: RawMail.Fate = RawMail.Fate.WAITING,
) -> RawMail:
    """Keep one mail for one recipient. `size`: its octets, where `content` is only their beginning."""
    mail = RawMail(
        door=door,
        mail_from=storable(mail_from)[:512],
        rcpt_to=rcpt_to[:512],
        peer=peer[:64],
        size=size or len(content),
        digest=digest_of(content),
        fate=fate,
        sender_verified=verification.outcome,
        sender_verification=verification.text[:500],
    )
    mail.content.save("mail.eml", ContentFile(content), save=False)
    try:
        mail.save()
    except Exception:  # who comes again every minute must not fill the disk with what is left over
        mail.content.delete(save=False)
        raise
    return mail


def digest_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def is_kept(content: bytes, *, came_to: str) -> bool:
    """Whether these very octets are kept for that recipient already, through whatever door."""
    return RawMail.objects.filter(digest=digest_of(content), rcpt_to__iexact=came_to).exists()


def came_to(returned: Returned, *, otherwise: str) -> str:
    """Which address a mail without an envelope came to: one in its header that we signed, else the one given.

    A report to an address that only looks like one of ours came to that, and is not believed.
    """
    proofs = {
        address: verify(address, keys=settings.RETURN_PATH_KEYS, now=timezone.now())
        for address in returned.keys.return_path_to
    }
    signed = [one for one, proof in proofs.items() if isinstance(proof, ReturnPath)]
    forged = [one for one, proof in proofs.items() if proof in (Fault.FORGED, Fault.EXPIRED)]
    answers = [
        one for one in proofs if isinstance(verify_reply(one, keys=settings.REPLY_ADDRESS_KEYS), ReplyAddress)
    ]
    doubtful = forged if returned.kind in OF_REPORTS else []
    return next(iter([*signed, *doubtful, *answers]), otherwise)


def storable(address: str) -> str:
    """As text that PostgreSQL takes; what is none stands as escapes."""
    return address.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
