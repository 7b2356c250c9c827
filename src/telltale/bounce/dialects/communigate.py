"""CommuniGate Pro: "Failed to deliver to 'ana@lamp.example'", and who said what below it."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="communigate",
    signs=("failed to deliver to '",),
    read=matched(
        re.compile(
            rf"Failed to deliver to '<?(?P<address>{ADDRESS})>?'\s*\n(?P<words>(?:[ \t]*\S[^\n]*\n?){{0,20}})",
            re.IGNORECASE,
        )
    ),
)
