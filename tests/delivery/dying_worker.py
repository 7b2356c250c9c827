"""A delivery process that kills itself at one place.

python -m tests.delivery.dying_worker MODULE NAME before|after
"""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from telltale.delivery import worker


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    """The same function, before or after which this process is gone."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        result = function(*args, **kwargs)
        if asyncio.iscoroutine(result):
            return _after(result)
        die()
        return result

    return call


async def _after(result: Any) -> None:
    await result
    die()


def main() -> None:
    module, name, when = sys.argv[1:]
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for step in path:
        owner = getattr(owner, step)
    setattr(owner, last, dying(getattr(owner, last), when))
    worker.main()


if __name__ == "__main__":
    main()
