"""MailEnable: "Recipient: [SMTP:ana@lamp.example]", "Reason: …"."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="mailenable",
    signs=("mailenable:", "recipient: [smtp:"),
    read=matched(
        re.compile(
            rf"Recipient:\s*\[?(?:SMTP:)?(?P<address>{ADDRESS})\]?[^\n]*\n\s*Reason:\s*(?P<words>[^\n]*)",
            re.IGNORECASE,
        )
    ),
)
