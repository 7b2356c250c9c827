"""qmail and its heirs: "<ana@lamp.example>:" on a line, and below it why. cr.yp.to/proto/qsbmf.txt."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

_SENTENCES = (
    "to deliver your message to the following address",
    "could not be delivered to the following address",
    "the following address(es) could not be delivered",
    "this is a permanent error",
    "your message could not be delivered.",
)

DIALECT = Dialect(
    name="qmail",
    signs=(
        "this is the qmail-send program",
        "this is the qmail program",
        "this is the machine generated message from mail service",
        "wasn't able to deliver your message to the following address",
        "su mensaje no pudo ser entregado - sua mensagem",
        "your mail message to the following address(es) could not be delivered",
    ),
    read=listed_below(*_SENTENCES),
)
