"""`telltale settings`: the values in force."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from telltale.config.environment import TABLE, Environment, Setting


def in_force(environment: Environment) -> str:
    """A line for each setting. What is secret is not shown."""
    width = max(len(setting.name) for setting in TABLE.values())
    return "".join(
        f"{setting.name:{width}}  {_shown(setting, getattr(environment, field_name))}\n"
        for field_name, setting in TABLE.items()
    )


def _shown(setting: Setting, value: Any) -> str:
    if setting.is_secret and value:
        return "set, and not shown"
    return _words(value) or setting.default_in_words or "empty"


def _words(value: Any) -> str:
    """The value as it could be written into the variable."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds())}s"
    return str(value) if value is not None and value != () else ""
