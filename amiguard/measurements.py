"""What graphs are made of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from amiguard.histogram import Histogram
from amiguard.journal import Action
from amiguard.model import Drops, Reason


@dataclass(frozen=True, slots=True)
class Measurements:
    """What is counted or measured."""

    status: Mapping[str, object]
    reasons: Mapping[Reason, int]
    """Failures by reason."""
    alerts: Mapping[Action, int]
    capacity: int
    """Offenders that the jail can count at once."""
    memory: Mapping[str, int]
    """About how many bytes each of the rules takes that count offenders in a jail; see `Rulebook.memory`."""
    latency: Histogram
    """Of the kernel."""
    lag: Histogram
    """Of the event loop."""
    tasks: int
    """Of the event loop, those that wait included."""
    drops: Drops | None
    """None = the kernel does not tell."""
    feed_drops: Mapping[str, Drops]
    """By the list that named the source."""
