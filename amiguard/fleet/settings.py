"""Who this node is, and where the others are met."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Allow(StrEnum):
    """What a node has to do with whom administrators of other nodes allow."""

    SHARE = "share"
    """It allows them, and tells whom its own administrator allows."""
    HEAR = "hear"
    """It allows them, and tells nothing: its user of Redis need not be able to."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """`url` may hold a password, and is shown nowhere; `server` names the same place without it."""

    url: str = field(repr=False)
    server: str
    node: str
    """What the others call this node."""
    prefix: str
    """What the names of all keys begin with."""
    version: str
    count: bool = True
    """Whether failures are counted together."""
    allow: Allow = Allow.SHARE
