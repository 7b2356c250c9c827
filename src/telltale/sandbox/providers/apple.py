"""iCloud Mail. Wording: support.apple.com/102322 (formerly HT204137) and bounces."""

from __future__ import annotations

import secrets

from telltale.sandbox.providers.base import Provider


def _queue_id() -> str:
    """As Postfix's short ids, "4XyZ2A1B3C"."""
    return secrets.token_hex(6).upper()


APPLE = Provider(
    name="apple",
    title="Apple iCloud",
    size=28_311_552,
    smtputf8=False,
    greeting="220 {host} ESMTP Postfix",
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
        "no-such-user": "550 5.1.1 <{recipient}>: inactive email address",
        "bounce-later": "550 5.1.6 recipient no longer on server: {recipient}",
        "full": "552 5.2.2 <{recipient}>: user is over quota",
        "disabled": "550 5.2.1 <{recipient}>: account is disabled",
        "policy": (
            "554 5.7.1 [HM08] Message rejected due to local policy. "
            "Please visit https://support.apple.com/en-us/HT204137"
        ),
        "spam": (
            "550 5.7.1 [CS01] Message rejected due to local policy. "
            "Please visit https://support.apple.com/en-us/HT204137"
        ),
        "too-large": "552 5.3.4 Message size exceeds fixed limit",
        "blocklisted": (
            "550 5.7.1 Mail from IP {client} was rejected due to listing in Spamhaus SBL. "
            "For details please see http://www.spamhaus.org/query/bl?ip={client}"
        ),
        "auth": (
            "554 5.7.1 [HME1] This message was blocked for failing both SPF and DKIM authentication checks. "
            "See https://support.apple.com/en-us/HT204137 for mailing best practices"
        ),
        "rate-limited": (
            "421 4.7.1 Messages to {recipient} deferred due to excessive volume. "
            "Try again later - https://support.apple.com/en-us/HT204137"
        ),
        "temporary": "451 4.3.0 <{recipient}>: Temporary lookup failure",
        "421-always": "421 4.7.0 {host} Error: too many errors",
    },
)
