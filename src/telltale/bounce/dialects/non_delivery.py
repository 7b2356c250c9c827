"""Programs that write little more than "Your message could not be delivered to": Microsoft's CDO and others."""

from __future__ import annotations

from telltale.bounce.dialects.dialect import Dialect, listed_below

DIALECT = Dialect(
    name="cdo",
    signs=(
        "--- non-delivery report ---",
        "votre message n'a pas pu etre delivre a\n",
        "could not be delivered to\n",
    ),
    read=listed_below("to the following user", "votre message n'a pas pu etre delivre a"),
)
