"""The bounce engine: bytes to what came back, text to what it means. No Django, no database, no network."""

from telltale.bounce.explain import explain
from telltale.bounce.read import read
from telltale.bounce.returned import Keys, Kind, Returned
from telltale.bounce.verdict import Party, Retry, Verdict

__all__ = ["Keys", "Kind", "Party", "Retry", "Returned", "Verdict", "explain", "read"]
