"""How lists are kept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FeedSettings:
    """The same for every list."""

    version: str
    """amiguard's own, for who looks into the log of a list's server."""
    interval: float = 3600
    """Seconds between two looks at whether a list has changed."""
    stale: int = 172_800_000
    """Milliseconds for which a list counts that can't be had any more."""
    limit: int = 1_000_000
    """Addresses and networks that a list may have."""
    retry: float = 60
    """Seconds to the second try at most, doubled each time up to `interval`."""
    timeout: float = 300
    """Seconds for a whole answer, however slowly it comes."""
