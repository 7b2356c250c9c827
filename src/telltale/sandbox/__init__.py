"""Mail servers with the manners of real providers, on this machine, for a demo, for tests and for training.

`Sandbox` runs them, `catalogue` lists their addresses. The catalogue needs neither asyncio nor DNS, and the pages
that show it should not pay for them: so `Sandbox` is loaded when somebody asks for it (PEP 562).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telltale.sandbox.catalogue import Row, catalogue

if TYPE_CHECKING:
    from telltale.sandbox.service import Sandbox

__all__ = ["Row", "Sandbox", "catalogue"]


def __getattr__(name: str) -> Any:
    if name != "Sandbox":
        raise AttributeError(f"telltale.sandbox has no {name}")
    from telltale.sandbox.service import Sandbox

    return Sandbox
