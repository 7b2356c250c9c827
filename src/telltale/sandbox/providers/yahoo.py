"""Yahoo and AOL. Wording: senders.yahooinc.com/smtp-error-codes and bounces."""

from __future__ import annotations

import secrets

from telltale.sandbox.providers.base import Provider


def _session() -> str:
    return f"atlas-production.v2-mail-prod1-ir2.omega.yahoo.com {secrets.token_hex(8)}"


def _queue_id() -> str:
    return secrets.token_urlsafe(16).replace("-", "A").replace("_", "B")


YAHOO = Provider(
    name="yahoo",
    title="Yahoo",
    size=26_214_400,
    smtputf8=False,
    greeting="220 {host} ESMTP ready",
    mail_ok="250 sender <{mail_from}> ok",
    rcpt_ok="250 recipient <{recipient}> ok",
    data_ok="354 go ahead",
    accepted="250 ok dirdel {queue_id}",
    closing="221 {host}",
    make_session=_session,
    make_queue_id=_queue_id,
    notifier="Mail Delivery System",
    failed_subject="Failure Notice",
    words={
        "no-such-user": (
            "554 delivery error: dd This user doesn't have a {recipient_domain} account ({recipient}) [0] - {host}"
        ),
        "full": (
            "552 1 Requested mail action aborted, mailbox full: {recipient} is over quota [-5] - {host}"
        ),
        "disabled": (
            "554 delivery error: dd Sorry your message to {recipient} cannot be delivered. "
            "This account has been disabled or discontinued [#102]. - {host}"
        ),
        "policy": (
            "554 5.7.9 Message not accepted for policy reasons. "
            "See https://postmaster.yahooinc.com/error-codes"
        ),
        "spam": (
            "554 Message not allowed - [PH01] Email not accepted for policy reasons. "
            "Please visit https://postmaster.yahooinc.com/error-codes"
        ),
        "too-large": "552 5.3.4 Message size exceeds fixed maximum message size - {host}",
        "blocklisted": (
            "553 5.7.1 [BL21] Connections will not be accepted from {client}, because the ip is in "
            "Spamhaus's list; see http://postmaster.yahoo.com/550-bl23.html"
        ),
        "auth": (
            "550 5.7.9 This mail has been blocked because the sender is unauthenticated. "
            "Yahoo requires all senders to authenticate with either SPF or DKIM."
        ),
        "rate-limited": (
            "421 4.7.0 [TSS04] Messages from {client} temporarily deferred due to unexpected volume or user "
            "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"
        ),
        "temporary": "451 {host} Resources temporarily unavailable. Please try again later [#4.16.1].",
        "421-always": "421 Max message per connection reached, closing transmission channel",
    },
)
