"""Cisco Secure Email (IronPort): "The following message to <…> was undeliverable." and the reason."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="ironport",
    signs=("the following message to <",),
    read=matched(
        re.compile(
            rf"The following message to <(?P<address>{ADDRESS})> was undeliverable\.?\s*\n"
            r"(?:The reasons? for the problem:\s*\n)?(?P<words>(?:[ \t]*\S[^\n]*\n?){0,20})",
            re.IGNORECASE,
        )
    ),
)
