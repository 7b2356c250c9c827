"""What rich draws on."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """Standard output without guesses at what to colour."""

    def __init__(self, *, width: int | None = None) -> None:
        super().__init__(highlight=False, width=width)

    def on_broken_pipe(self) -> None:
        """rich would end the process; who called us knows what to do when the reader has gone."""
        raise
