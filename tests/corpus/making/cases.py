"""What happens to the mails that the desk sends through the server: the truth that the reports must tell.

Who says what to which address stands in world.py. `expected.toml` is written by hand from these two.
"""

from __future__ import annotations

from dataclasses import dataclass

from .world import DESK_DOMAIN

MANY_HOPS = "".join(
    f"Received: from hop{hop}.{DESK_DOMAIN} (hop{hop}.{DESK_DOMAIN} [198.51.100.{hop}])\n"
    f"\tby hop{hop + 1}.{DESK_DOMAIN} with ESMTP id {hop:04}; Mon, 2 Nov 2026 09:00:00 +0000\n"
    for hop in range(1, 13)
)
LONG_BODY = "A line that is here for nothing but its length, which is eighty octets in all.\n" * 35


@dataclass(frozen=True, slots=True)
class Case:
    """One mail of the desk. Its report comes back to `sender`, so that each finds its case."""

    name: str
    recipients: tuple[str, ...]
    before: str = ""  # header fields that others have put in front
    body: str = "Dear customer,\n\nyour refund is on its way.\n\nYour desk\n"
    mail_options: tuple[str, ...] = ()  # RFC 3461 section 4
    rcpt_options: tuple[str, ...] = ()
    reports: int = 1  # how many mails must come back

    @property
    def sender(self) -> str:
        return f"b-{self.name}@{DESK_DOMAIN}"

    def mail(self) -> bytes:
        return (
            f"{self.before}From: The Desk <support@{DESK_DOMAIN}>\n"
            f"To: {', '.join(self.recipients)}\n"
            "Subject: Re: Where is my refund?\n"
            "Date: Mon, 2 Nov 2026 10:00:00 +0000\n"
            f"Message-ID: <{self.name}.7f3a@{DESK_DOMAIN}>\n"
            f"In-Reply-To: <question.41@{DESK_DOMAIN}>\n"
            "MIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=utf-8\n"
            f"\n{self.body}"
        ).encode()


_ALL = (
    Case("no-such-user", ("nobody@paper.example",)),
    Case(
        "no-such-user-dsn",
        ("nobody@paper.example",),
        mail_options=("RET=HDRS", "ENVID=Kx7+2Bb"),
        rcpt_options=("NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;Anna+2BB@lamp.example"),
    ),
    Case(
        "several-fates",
        (
            "ana@paper.example",
            "nobody@paper.example",
            "full@paper.example",
            "members@paper.example",
            "gone@paper.example",
            "ana@nowhere.example",
        ),
    ),
    Case("full", ("full@paper.example",)),
    Case("no-enhanced-code", ("gone@paper.example",)),
    Case("moved", ("moved@paper.example",)),
    Case("latin-1-reply", ("fremd@paper.example",)),
    Case("wordy", ("wordy@paper.example",)),
    Case("spam", ("spam@paper.example",)),
    Case("virus", ("virus@paper.example",)),
    Case("too-large", ("ana@tiny.example",), body=LONG_BODY),
    Case("greeting", ("ana@fort.example",)),
    Case("null-mx", ("ana@nomail.example",)),
    Case("unknown-domain", ("ana@nowhere.example",)),
    Case("no-address", ("ana@dangling.example",)),
    Case("dns-broken", ("ana@broken.example",)),
    Case("greylisted", ("later@paper.example",), reports=2),
    Case("rate-limited", ("hasty@paper.example",), reports=2),
    Case("connection-lost", ("drop@paper.example",), reports=2),
    Case("closed-for-the-night", ("ana@asleep.example",), reports=2),
    Case("unreachable", ("ana@closed.example",), reports=2),
    Case("local-unknown", ("nobody-here@lamp.example",)),
    Case("local-full", ("ben@lamp.example",), body=LONG_BODY),
    Case("program-fails", ("robot@lamp.example",)),
    Case("alias", ("sales@lamp.example",)),
    Case("loop", ("ana@paper.example",), before=MANY_HOPS),
    Case("utf-8-not-offered", ("süd@paper.example",)),
    Case("utf-8-refused", ("süd@modern.example",)),
    Case("success-local", ("ana@lamp.example",), rcpt_options=("NOTIFY=SUCCESS,FAILURE",)),
    Case("success-relayed", ("ana@paper.example",), rcpt_options=("NOTIFY=SUCCESS,FAILURE",)),
)
CASES = {case.name: case for case in _ALL}
