"""The bounce engine: bytes to what came back, text to what it means. No Django, no database, no network.

Each name is loaded when somebody asks for it: whoever wants one reply explained does not wait for the reader.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telltale.bounce.explaining import explain
    from telltale.bounce.reading import read
    from telltale.bounce.returned import Keys, Kind, Returned
    from telltale.bounce.verdict import Party, Retry, Verdict

__all__ = ["Keys", "Kind", "Party", "Retry", "Returned", "Verdict", "explain", "read"]

_MODULES = {
    "explain": "explaining",
    "read": "reading",
    **dict.fromkeys(("Keys", "Kind", "Returned"), "returned"),
    **dict.fromkeys(("Party", "Retry", "Verdict"), "verdict"),
}


def __getattr__(name: str) -> object:  # PEP 562
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
