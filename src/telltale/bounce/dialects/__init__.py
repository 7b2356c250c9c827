"""How each mail server words its notices: one small file a dialect, in the order in which they are tried."""

from __future__ import annotations

from telltale.bounce.dialects import (
    aol,
    chinese,
    communigate,
    courier,
    domino,
    dragonfly,
    exchange,
    exim,
    ezweb,
    fml,
    general,
    gmail,
    groupwise,
    imail,
    interscan,
    ironport,
    james,
    kddi,
    lsmtp,
    mailenable,
    mailmarshal,
    mdaemon,
    messaging_server,
    microsoft,
    non_delivery,
    notes,
    opensmtpd,
    openwave,
    postfix,
    qmail,
    russian,
    sendmail,
    yahoo,
    zoho,
)
from telltale.bounce.dialects.dialect import MOST_LINES, Dialect, reports
from telltale.bounce.dialects.entries import entries
from telltale.bounce.notice import Notice
from telltale.mail.report import RecipientReport

__all__ = ["DIALECTS", "Dialect", "dialect_of", "reports_in_words", "words_about"]

# Those with the surest signs first.
DIALECTS: tuple[Dialect, ...] = (
    yahoo.DIALECT,
    qmail.DIALECT,
    zoho.DIALECT,
    exim.DIALECT,
    postfix.DIALECT,
    sendmail.DIALECT,
    microsoft.DIALECT,
    gmail.DIALECT,
    mailenable.DIALECT,
    exchange.DIALECT,
    dragonfly.DIALECT,
    opensmtpd.DIALECT,
    courier.DIALECT,
    domino.DIALECT,
    notes.DIALECT,
    groupwise.DIALECT,
    aol.DIALECT,
    ezweb.DIALECT,
    kddi.DIALECT,
    openwave.DIALECT,
    messaging_server.DIALECT,
    mailmarshal.DIALECT,
    interscan.DIALECT,
    lsmtp.DIALECT,
    non_delivery.DIALECT,
    communigate.DIALECT,
    mdaemon.DIALECT,
    ironport.DIALECT,
    james.DIALECT,
    chinese.DIALECT,
    russian.DIALECT,
    imail.DIALECT,
    fml.DIALECT,
)
_SIGNS = tuple((sign, dialect) for dialect in DIALECTS for sign in dialect.signs)


def dialect_of(notice: Notice) -> Dialect | None:
    """The first dialect whose sign stands in the notice."""
    text = notice.lower
    for sign, dialect in _SIGNS:
        if sign in text:
            return dialect
    return None


def words_about(notice: Notice) -> list[RecipientReport]:
    """What the notice says of the addresses that it lists; enough where it is known already who they are."""
    if dialect := dialect_of(notice):
        return dialect.read(notice, dialect.speaker)
    return reports(notice, entries(notice.lines[:MOST_LINES]), "")


def reports_in_words(notice: Notice, dialect: Dialect | None) -> list[RecipientReport]:
    """What the notice says in its own dialect; else what can be read in it by the general way."""
    found = dialect.read(notice, dialect.speaker) if dialect else []
    return found or general.read(notice)
