"""The mail servers, one file each. A new one is a new file, and a line here."""

from __future__ import annotations

from . import courier, dma, exim, nullmailer, opensmtpd, postfix, sendmail
from .server import Server

SERVERS: tuple[Server, ...] = (
    postfix.POSTFIX,
    postfix.POSTFIX_IN_GERMAN,
    exim.EXIM,
    opensmtpd.OPENSMTPD,
    sendmail.SENDMAIL,
    courier.COURIER,
    dma.DMA,
    nullmailer.NULLMAILER,
)

__all__ = ["SERVERS", "Server"]
