"""When bans end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from amiguard.model import Ban, Target, Timestamp


class Ends:
    """The ends of the bans that are `active`, the soonest first.

    Nothing is taken out when a ban is lifted or gets another end: what is out of date is passed over at its turn."""

    def __init__(self, active: Mapping[Target, Ban]) -> None:
        self._active = active
        self._heap: list[tuple[Timestamp, Target]] = []

    def extend(self, bans: Iterable[Ban]) -> None:
        """Take up many at once."""
        self._heap += [(ban.until, ban.target) for ban in bans if ban.until is not None]
        heapify(self._heap)

    def add(self, ban: Ban) -> None:
        """Take up one; a permanent ban has no end."""
        if ban.until is not None:
            heappush(self._heap, (ban.until, ban.target))

    @property
    def next(self) -> Timestamp | None:
        """When to look again; None: nothing ends."""
        return self._heap[0][0] if self._heap else None

    def take(self, count: int, until: Timestamp | None = None) -> list[Ban]:
        """Take out at most `count` bans that end soonest; with `until`, only those that have ended by then."""
        taken: dict[Target, Ban] = {}
        while self._heap and len(taken) < count and (until is None or self._heap[0][0] <= until):
            end, target = heappop(self._heap)
            ban = self._active.get(target)
            if ban is not None and ban.until == end:
                taken[target] = ban
        return list(taken.values())
