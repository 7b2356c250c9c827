"""KDDI: "Could not be delivered to: <…>", and why on the next line."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="kddi",
    signs=("your mail sent on:", "your mail attempted to be delivered on:"),
    read=matched(
        re.compile(
            rf"Could not be delivered to:? <(?P<address>{ADDRESS})>\s*\n(?P<words>[^\n]*)", re.IGNORECASE
        )
    ),
)
