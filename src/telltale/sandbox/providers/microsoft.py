"""Exchange Online and Outlook.com. Wording: learn.microsoft.com (non-delivery reports) and postmaster.live.com."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from telltale.sandbox.providers.base import Provider


def _session() -> str:
    """As "AM4PEPF00027A6B.eurprd04.prod.outlook.com 2025-06-02T09:30:00.123Z 08DDA1B2C3D4E5F6"."""
    now = datetime.now(UTC)
    moment = f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
    host = f"AM4PEPF000{secrets.token_hex(3).upper()}.mx.microsoft.sandbox.test"
    return f"{host} {moment} 08DD{secrets.token_hex(6).upper()}"


def _queue_id() -> str:
    return str(secrets.randbelow(9 * 10**12) + 10**12)


MICROSOFT = Provider(
    name="microsoft",
    title="Microsoft",
    size=26_214_400,
    smtputf8=True,
    greeting="220 {host} Microsoft ESMTP MAIL Service ready [{session}]",
    mail_ok="250 2.1.0 Sender OK",
    rcpt_ok="250 2.1.5 Recipient OK",
    data_ok="354 Start mail input; end with <CRLF>.<CRLF>",
    accepted=(
        "250 2.6.0 <{queue_id}@{host}> [InternalId={queue_id}, Hostname={host}] "
        "{size} bytes in 0.123, 98.010 KB/sec Queued mail for delivery"
    ),
    reset="250 2.0.0 Resetting",
    closing="221 2.0.0 Service closing transmission channel",
    make_session=_session,
    make_queue_id=_queue_id,
    notifier="Microsoft Outlook",
    failed_subject="Undeliverable: {subject}",
    words={
        "no-such-user": "550 5.4.1 Recipient address rejected: Access denied. [{session}]",
        "bounce-later": "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
        "full": (
            "550 5.2.2 STOREDRV.Deliver: mailbox full. The following information should help identify "
            'the cause: "MapiExceptionShutoffQuotaExceeded" [{session}]'
        ),
        "disabled": (
            "550 5.7.13 STOREDRV.Deliver.Exception:AccountDisabledException.MapiExceptionADUserDisabledAndHidden; "
            "Failed to process message due to a permanent exception [{session}]"
        ),
        "policy": (
            "550 5.7.1 TRANSPORT.RULES.RejectMessage; "
            "the message was rejected by organization policy [{session}]"
        ),
        "spam": "550 SC-001 ({host}) Unfortunately, messages from {client} weren't sent.",
        "too-large": "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient [{session}]",
        "blocklisted": (
            "550 5.7.1 Unfortunately, messages from [{client}] weren't sent. Please contact your Internet "
            "service provider since part of their network is on our block list (S3150). You can also refer "
            "your provider to http://mail.live.com/mail/troubleshooting.aspx#errors. [{session}]"
        ),
        "auth": (
            "550 5.7.515 Access denied, sending domain {domain} does not meet the required authentication "
            "level. The sender's domain in the 5322.From address doesn't meet the authentication requirements "
            "defined for the sender. To learn how to fix this see: https://go.microsoft.com/fwlink/p/?linkid=2319303 "
            "Spf= Fail , Dkim= Fail , DMARC= Fail [{session}]"
        ),
        "rate-limited": (
            "451 4.7.650 The mail server [{client}] has been temporarily rate limited due to IP reputation. "
            "For e-mail delivery information, see https://postmaster.live.com (S3113) [{session}]"
        ),
        "temporary": (
            "451 4.7.0 Temporary server error. Please try again later. PRX4 NextHop:192.0.2.1 [{session}]"
        ),
        "421-always": "421 4.3.2 Service not available [{session}]",
        "relay": "550 5.7.64 TenantAttribution; Relay Access Denied [{session}]",
    },
)
