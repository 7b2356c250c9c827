"""OpenSMTPD: "ana@lamp.example: 550 5.1.1 No such user"."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

DIALECT = Dialect(
    name="opensmtpd",
    signs=("this is the mailer-daemon, please do not reply",),
    read=listed_below("the following list of recipients", "list of recipients"),
)
