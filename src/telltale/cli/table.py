"""`telltale settings`: the values in force."""

from __future__ import annotations

from typing import Any

from telltale.config.environment import TABLE, Environment


def in_force(environment: Environment) -> str:
    """A line for each setting. What is secret is not shown."""
    width = max(len(setting.name) for setting in TABLE.values())
    lines = []
    for field_name, setting in TABLE.items():
        value = getattr(environment, field_name)
        shown = "(set)" if setting.is_secret and value else _words(value)
        lines.append(f"{setting.name:{width}}  {shown or setting.default_in_words or 'empty'}".rstrip() + "\n")
    return "".join(lines)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None or value == () else str(value)
