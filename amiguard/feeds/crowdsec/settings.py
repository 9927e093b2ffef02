"""How CrowdSec is reached."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CrowdSecSettings:
    """Where its local API is, and what lets us in."""

    url: str
    """`http://127.0.0.1:8080`, without a path."""
    version: str
    """amiguard's own."""
    node: str
    """What this server is called: decisions that come from here are known by it."""
    key: str = field(default="", repr=False)
    """Of a bouncer; empty = its decisions are not asked for."""
    machine: str = ""
    """The name of a log processor; empty = it is told nothing."""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    interval: float = 10
    """Seconds between two questions for decisions."""
    limit: int = 1_000_000
    """Addresses and networks that it may have dropped."""
    timeout: float = 60
    """Seconds for an answer."""
    waiting: int = 1_000
    """Bans and unbans that wait to be told."""

    @property
    def origin(self) -> str:
        """What CrowdSec's decisions name as their origin when they come from this server."""
        return f"amiguard/{self.node}"
