"""A company's own server: Postfix, with Postgrey and a block list before it. Wording: Postfix's sources."""

from __future__ import annotations

import secrets

from telltale.sandbox.providers.base import Provider


def _queue_id() -> str:
    """As Postfix's short ids, "4A1B2C3D4E"."""
    return secrets.token_hex(5).upper()


POSTFIX = Provider(
    name="postfix",
    title="Postfix",
    size=26_214_400,
    smtputf8=True,
    greeting="220 {host} ESMTP Postfix (Debian/GNU)",
    mail_ok="250 2.1.0 Ok",
    rcpt_ok="250 2.1.5 Ok",
    data_ok="354 End data with <CR><LF>.<CR><LF>",
    accepted="250 2.0.0 Ok: queued as {queue_id}",
    closing="221 2.0.0 Bye",
    make_session=_queue_id,
    make_queue_id=_queue_id,
    notifier="Mail Delivery System",
    failed_subject="Undelivered Mail Returned to Sender",
    words={
        "no-such-user": (
            "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in virtual mailbox table"
        ),
        "full": "552 5.2.2 <{recipient}>: Recipient address rejected: Mailbox is full / Blocks limit exceeded",
        "disabled": "550 5.2.1 <{recipient}>: Recipient address rejected: This account has been disabled",
        "policy": "554 5.7.1 <{recipient}>: Recipient address rejected: Blocked by the organization's policy",
        "spam": "554 5.7.1 Spam message rejected; If this is not spam contact abuse at {recipient_domain}",
        "too-large": "552 5.3.4 Error: message file too big",
        "refuse-data": "554 5.7.1 <DATA>: Data command rejected: Access denied",
        "blocklisted": (
            "554 5.7.1 Service unavailable; Client host [{client}] blocked using zen.spamhaus.org; "
            "https://www.spamhaus.org/query/ip/{client}"
        ),
        "auth": "550 5.7.1 rejected by DMARC policy for {domain}",
        "rate-limited": (
            "450 4.7.1 <{recipient}>: Recipient address rejected: "
            "Rate limit exceeded, too many messages, try again later"
        ),
        "greylist": (
            "450 4.2.0 <{recipient}>: Recipient address rejected: Greylisted, try again in {seconds} seconds, "
            "see http://postgrey.schweikert.ch/help/{recipient_domain}.html"
        ),
        "temporary": "451 4.3.0 <{recipient}>: Temporary lookup failure",
        "421-always": "421 4.3.2 {host} Service not available, closing transmission channel",
        "no-route": (
            "554 5.4.4 <{recipient}>: Host or domain name not found. Name service error for "
            "name=mail.{recipient_domain} type=A: Host not found"
        ),
    },
)
