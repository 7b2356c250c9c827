"""Strangers' words on a terminal: shown whole, obeyed never."""

from __future__ import annotations

import re

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]")


def visible(text: str) -> str:
    r"""The text with everything escaped that a terminal would act on: "\x1b", "\n", marks that turn writing round."""
    return _NOT_PRINTABLE.sub(_shown, text)


def visible_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(map(visible, text.splitlines()))


def _shown(character: re.Match[str]) -> str:
    found = character[0]
    return (
        found if found.isprintable() else found.encode("unicode_escape", "backslashreplace").decode("ascii")
    )
