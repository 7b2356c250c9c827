"""Domino and Notes: "was not delivered to:", the address, "because:", the reason."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

DIALECT = Dialect(
    name="notes",
    signs=("was not delivered to:",),
    read=listed_below("was not delivered to:"),
)
