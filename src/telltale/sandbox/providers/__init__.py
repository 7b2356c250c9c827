"""The providers whose manners the sandbox has, one file each."""

from __future__ import annotations

from collections.abc import Mapping

from telltale.sandbox.providers.apple import APPLE
from telltale.sandbox.providers.base import Provider
from telltale.sandbox.providers.google import GOOGLE
from telltale.sandbox.providers.microsoft import MICROSOFT
from telltale.sandbox.providers.postfix import POSTFIX
from telltale.sandbox.providers.yahoo import YAHOO

__all__ = ["PROVIDERS", "Provider"]

PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider for provider in (GOOGLE, MICROSOFT, YAHOO, APPLE, POSTFIX)
}
