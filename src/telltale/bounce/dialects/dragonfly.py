"""The DragonFly Mail Agent (dma): one address, one reply."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="dma",
    signs=("this is the dragonfly mail agent", "this is the dma at"),
    read=matched(
        re.compile(
            rf"(?:error delivering your mail to|could not be delivered to) <(?P<address>{ADDRESS})>\.?\s*\n"
            r"(?P<words>(?:[^\n]*\n){1,40}?)(?=\s*\n|Message headers|$|\Z)",
            re.IGNORECASE,
        )
    ),
)
