"""Zoho: address and reply on one line, the codes in words of its own."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="zoho",
    signs=("error_code :", "error code :", "[status: error, address: <"),
    read=matched(
        re.compile(
            rf"^[ \t]*\[?(?:Status: Error, Address: )?<?(?P<address>{ADDRESS})>?,? {{1,20}}"
            r"(?P<words>[^\n]*(?:\n[^\n\s][^\n]*){0,10}?)(?=\n\s*\n|\n\s*\[|\Z)",
            re.MULTILINE,
        )
    ),
)
