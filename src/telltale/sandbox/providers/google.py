"""Gmail and Google Workspace. Wording: support.google.com/a/answer/3726730 and bounces of 2024 and 2025."""

from __future__ import annotations

import secrets

from telltale.sandbox.providers.base import Provider


def _session() -> str:
    number = secrets.randbelow(90_000) + 10_000
    return f"{secrets.token_hex(7)}si{number}{secrets.token_hex(2)}b.{number % 900 + 1}"


GOOGLE = Provider(
    name="google",
    title="Google",
    size=35_882_577,
    smtputf8=True,
    greeting="220 {host} ESMTP {session} - gsmtp",
    mail_ok="250 2.1.0 OK {session} - gsmtp",
    rcpt_ok="250 2.1.5 OK {session} - gsmtp",
    data_ok="354 Go ahead {session} - gsmtp",
    accepted="250 2.0.0 OK  {time} {queue_id} - gsmtp",
    reset="250 2.1.5 Flushed {session} - gsmtp",
    closing="221 2.0.0 closing connection {session} - gsmtp",
    make_session=_session,
    make_queue_id=_session,
    notifier="Mail Delivery Subsystem",
    failed_subject="Delivery Status Notification (Failure)",
    words={
        "no-such-user": """\
550-5.1.1 The email account that you tried to reach does not exist. Please try
550-5.1.1 double-checking the recipient's email address for typos or
550-5.1.1 unnecessary spaces. For more information, go to
550 5.1.1  https://support.google.com/mail/?p=NoSuchUser {session} - gsmtp""",
        "full": """\
452-4.2.2 The recipient's inbox is out of storage space. Please direct the
452-4.2.2 recipient to
452 4.2.2  https://support.google.com/mail/?p=OverQuotaTemp {session} - gsmtp""",
        "full-later": """\
552-5.2.2 The recipient's inbox is out of storage space and inactive. Please
552-5.2.2 direct the recipient to
552 5.2.2  https://support.google.com/mail/?p=OverQuotaPerm {session} - gsmtp""",
        "disabled": """\
550-5.2.1 The email account that you tried to reach is inactive. For more
550-5.2.1 information, go to
550 5.2.1  https://support.google.com/mail/?p=DisabledUser {session} - gsmtp""",
        "policy": """\
550-5.7.1 The user or domain that you are sending to (or from) has a policy that
550-5.7.1 prohibited the mail that you sent. Please contact your domain
550-5.7.1 administrator for further details. For more information, go to
550 5.7.1  https://support.google.com/a/answer/172179 - gcdp {session} - gsmtp""",
        "spam": """\
550-5.7.1 [{client}      12] Our system has detected that this message is
550-5.7.1 likely unsolicited mail. To reduce the amount of spam sent to Gmail,
550-5.7.1 this message has been blocked. For more information, go to
550 5.7.1  https://support.google.com/mail/?p=UnsolicitedMessageError {session} - gsmtp""",
        "too-large": """\
552-5.3.4 Your message exceeded Google's message size limits. To view our
552-5.3.4 message size guidelines, go to
552 5.3.4  https://support.google.com/mail/?p=MaxSizeError {session} - gsmtp""",
        "refuse-data": """\
550-5.7.1 [{client}] Messages missing a valid address in From: header, or
550 5.7.1 having no From: header, are not accepted. {session} - gsmtp""",
        "blocklisted": """\
550-5.7.1 [{client}      18] Our system has detected that this message is
550-5.7.1 likely suspicious due to the very low reputation of the sending IP
550-5.7.1 address. To best protect our users from spam, the message has been
550-5.7.1 blocked. For more information, go to
550 5.7.1  https://support.google.com/mail/answer/188131 {session} - gsmtp""",
        "auth": """\
550-5.7.26 Your email has been blocked because the sender is unauthenticated.
550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.
550-5.7.26
550-5.7.26  Authentication results:
550-5.7.26  DKIM = did not pass
550-5.7.26  SPF [{domain}] with ip: [{client}] = did not pass
550-5.7.26
550-5.7.26  For instructions on setting up authentication, go to
550 5.7.26  https://support.google.com/mail/answer/81126#authentication {session} - gsmtp""",
        "rate-limited": """\
421-4.7.28 Gmail has detected an unusual rate of unsolicited email originating
421-4.7.28 from your SPF domain [{domain}      35]. To protect our users from
421-4.7.28 spam, email sent from your domain has been temporarily rate limited.
421-4.7.28 For more information, go to
421-4.7.28  https://support.google.com/mail/?p=UnsolicitedRateLimitError to
421 4.7.28  review our Bulk Email Senders Guidelines. {session} - gsmtp""",
        "temporary": """\
451-4.3.0 Mail server temporarily rejected message. For more information, go to
451 4.3.0  https://support.google.com/a/answer/3221692 {session} - gsmtp""",
        "421-always": "421 4.7.0 Try again later, closing connection. {session} - gsmtp",
    },
)
