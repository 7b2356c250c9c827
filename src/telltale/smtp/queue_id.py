"""The name under which the other side keeps our mail: what its postmaster asks for first."""

from __future__ import annotations

import re

from telltale.mail.reply import SmtpReply

# Each row: how a family of servers words its 250 behind the final dot.
_FORMS = [
    re.compile(form, re.IGNORECASE)
    for form in (
        r"\bqueued as ([\w.+/-]+)",  # Postfix, and much that sits before Postfix
        r"\bid=([\w.-]+)",  # Exim
        r"\bInternalId=(\d+)",  # Exchange, Microsoft 365
        r"\bOK +(?:DMARC:\w+ +)?(\d{9,} [\w.-]+) - gsmtp",  # Google: a time and a name
        r"^(?:2\.\d\.\d )?([\w-]{6,}) Message accepted for delivery",  # Sendmail, OpenSMTPD
        r"\bMessage Queued \(([\w.-]+)\)",  # Haraka
        r"\bqueued with id ([\w.-]+)",  # MailEnable and others
        r"\bqp (\d+)",  # qmail
        r"^ok: +Message (\d+) accepted",  # IronPort
        r"^(?:2\.\d\.\d )?Ok ([0-9a-z]{16,}[\w.-]*)$",  # Amazon SES, and others that say no more
    )
]


def queue_id(reply: SmtpReply) -> str:
    """The queue id that the reply to a message tells, or ""."""
    for form in _FORMS:
        found = form.search(reply.text)
        if found:
            return found[1]
    return ""
