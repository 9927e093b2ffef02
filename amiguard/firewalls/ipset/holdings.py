"""What one set should hold, and how many elements it therefore has at least and at most. Pure."""

from __future__ import annotations

from heapq import heappop, heappush

from amiguard.firewalls.ipset.format import Key

COUNTING = 1.5e-6
"""Seconds between two counts of a set by the kernel, for each element: so they take at most 1 % of a CPU."""

MOST_COUNTED = 200_000
"""Elements up to which a set is counted: 2 to 3 ms."""

FOREVER = 1 << 62
SLACK = 1_000
"""Elements whose end has come that are kept on the books, before all such are struck off at once."""


class Holdings:
    """Elements and when they end, in seconds of whatever clock. How many last on is always known."""

    def __init__(self) -> None:
        self.ends: dict[Key, int] = {}
        self.lasting = 0
        """How many of these end later than `horizon`."""
        self.foreign = 0
        """How many elements somebody else put there, as far as is known."""
        self.newest: Key | None = None
        self.horizon = 0
        self._at: dict[int, int] = {}
        self._order: list[int] = []

    def put(self, key: Key, end: int) -> None:
        """An element is there."""
        if key in self.ends:
            self.drop(key)
        self.ends[key] = end
        self.newest = key
        if end > self.horizon:
            if end in self._at:
                self._at[end] += 1
            else:
                self._at[end] = 1
                heappush(self._order, end)
            self.lasting += 1

    def drop(self, key: Key) -> None:
        """It will no longer be there, or with another end."""
        end = self.ends.pop(key, 0)
        if end > self.horizon:
            self._at[end] -= 1
            self.lasting -= 1

    def pass_by(self, horizon: int) -> None:
        """What ends until then may be gone."""
        self.horizon = max(self.horizon, horizon)
        while self._order and self._order[0] <= self.horizon:
            self.lasting -= self._at.pop(heappop(self._order))
        if len(self.ends) > 2 * self.lasting + SLACK:
            self.ends = {key: end for key, end in self.ends.items() if end > self.horizon}

    def explain(self, count: int) -> bool:
        """Whether a set of so many elements may be as it should."""
        return self.lasting + self.foreign <= count <= len(self.ends) + self.foreign

    def missing(self, unmet: dict[Key, int]) -> list[Key]:
        """Return which of those that were not met should be there, if they still should."""
        return [key for key, end in unmet.items() if end > self.horizon and self.ends.get(key) == end]
