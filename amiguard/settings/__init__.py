"""What the operator decided. The only import of pydantic and pydantic-settings.

These are large, and needed only to check what was written: so they come when `Settings` or a loader is asked for, and
the daemon has that done in another process (`apart`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amiguard.settings.loading import control_socket, load, load_policy
    from amiguard.settings.model import Settings

__all__ = ["PREFIX", "Settings", "control_socket", "load", "load_policy"]

PREFIX = "AMIGUARD_"
"""What the name of each variable begins with."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.loading"), name)
