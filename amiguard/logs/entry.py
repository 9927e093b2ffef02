"""What there is to say about all lines of one action."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """How loud a line is; structlog's numbers."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Entry(NamedTuple):
    """What every line of one action has in common. `outcome` "" is none."""

    level: Level
    category: tuple[str, ...]
    type: tuple[str, ...]
    outcome: str
    meaning: str
    """When the line is written, for people."""
    limited: bool = False
    """Strangers can cause any number of these: only so many are written a second."""
    kind: str = "event"
