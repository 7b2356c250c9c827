"""The bounce engine: bytes to what came back, text to what it means. No Django, no database, no network."""

from telltale.bounce.verdict import Party, Retry, Verdict

__all__ = ["Party", "Retry", "Verdict"]
