"""What a person can mend: the text says what is wrong, and what to do."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot go on."""
