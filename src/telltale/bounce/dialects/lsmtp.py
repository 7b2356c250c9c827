"""LSMTP, made for LISTSERV: "Error-for:" and "Error-Text:"."""

from __future__ import annotations

import re

from telltale.bounce.dialects.dialect import Dialect, matched
from telltale.mail.addresses import ADDRESS

DIALECT = Dialect(
    name="lsmtp",
    signs=("error-for:",),
    read=matched(
        re.compile(
            rf"^Error-for:\s*<?(?P<address>{ADDRESS})>?[^\n]*\n(?:Error-Code:[^\n]*\n)?"
            r"(?:Error-Text: *(?P<words>[^\n]*(?:\n[ \t]+\S[^\n]*){0,20}))?",
            re.MULTILINE | re.IGNORECASE,
        )
    ),
)
