"""GroupWise: "The message that you sent was undeliverable to the following:", address and reason in brackets."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

DIALECT = Dialect(
    name="groupwise",
    signs=(
        "was undeliverable to the following:",
        "had the following undeliverable recipient",
        "the message that you sent was undeliverable",
    ),
    read=listed_below("undeliverable to the following:", "following undeliverable recipient"),
)
