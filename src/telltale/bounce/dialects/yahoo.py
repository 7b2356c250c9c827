"""Yahoo: an heir of qmail that says a little less."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

DIALECT = Dialect(
    name="yahoo",
    signs=(
        "unable to deliver your message to the following address",
        "unable to deliver message to the following address(es)",
        "message from yahoo.",
        "message from  yahoo.",
    ),
    read=listed_below(
        "deliver your message to the following address", "deliver message to the following address"
    ),
)
