"""What this node has decided and Redis has not taken yet. Pure."""

from __future__ import annotations

from itertools import islice

from amiguard.model import Target
from amiguard.nodes import Exempted, Revoked, Shared

CAPACITY = 10_000
"""Targets; some 10 MB when full. A node that goes on alone under a flood tells the newest of them afterwards."""


class Outbox:
    """The newest change of each target, the oldest first; the oldest makes room. Whether a target is banned is one
    question, whether it may be is another."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.lost = 0
        """Changes that were dropped for want of room."""
        self._capacity = capacity
        self._waiting: dict[tuple[Target, bool], Shared] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, change: Shared) -> None:
        """Take a change."""
        key = _key(change)
        self._waiting.pop(key, None)
        self._waiting[key] = change
        if len(self._waiting) > self._capacity:
            del self._waiting[next(iter(self._waiting))]
            self.lost += 1

    def put_back(self, change: Shared) -> None:
        """Take a change that was told before, unless a newer one of its target waits."""
        if _key(change) not in self._waiting:
            self.put(change)

    def peek(self, count: int) -> list[Shared]:
        """Return the oldest changes; they stay until `done`."""
        return list(islice(self._waiting.values(), count))

    def done(self, change: Shared) -> None:
        """Drop a change that was taken, unless a newer one of its target came meanwhile."""
        if self._waiting.get(_key(change)) is change:
            del self._waiting[_key(change)]


def _key(change: Shared) -> tuple[Target, bool]:
    return change.target, isinstance(change, Exempted | Revoked)
