"""A table of strangers that can't outgrow its bound, however many there are. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import chain, islice
from sys import getsizeof
from typing import Generic, TypeVar

from amiguard.model import Timestamp

FORGOTTEN_AT_ONCE = 2
"""Quiet entries that are forgotten with each new one, so that forgetting never takes long at once."""

MEASURED = 4
"""Entries at either end of a level whose memory is measured: those of one level are much alike."""


class Entry:
    """What is kept of one key. Whoever keeps it sets `last`, the time of its newest event."""

    __slots__ = ("last", "level")

    def __init__(self) -> None:
        self.last: Timestamp = 0
        self.level = -1
        """-1 = not ranked yet."""


Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept", bound=Entry)


class Ranked(Generic[Key, Kept]):
    """At most `capacity` entries, each of a level from 0 to `levels` - 1.

    When it is full, an entry of the lowest level makes room, and of these the one that was ranked longest ago. So a
    flood of keys that are seen once or twice can't push out one that is known for more."""

    def __init__(self, make: Callable[[], Kept], levels: int, capacity: int) -> None:
        self.evicted = 0
        """Entries forgotten for want of room."""
        self.capacity = capacity
        """May be changed at any time; who is too many leaves as others come."""
        self._make = make
        self._entries: dict[Key, Kept] = {}
        self._levels: list[OrderedDict[Key, Kept]] = [OrderedDict() for _ in range(levels)]

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Kept | None:
        """Return what is kept of this key, if anything."""
        return self._entries.get(key)

    def take(self, key: Key, horizon: Timestamp) -> Kept:
        """Return what is kept of this key; if nothing is, make a new entry, which must be ranked or dropped next.

        Entries whose `last` lies before `horizon` may be forgotten to make room."""
        entry = self._entries.get(key)
        if entry is None:
            self._forget_quiet(horizon)
            while len(self._entries) >= self.capacity:
                self._evict()
            entry = self._entries[key] = self._make()
        return entry

    def rank(self, key: Key, entry: Kept, level: int) -> None:
        """Put an entry behind all others of its level; what is beyond the highest counts as the highest."""
        level = min(level, len(self._levels) - 1)
        if level == entry.level:
            self._levels[level].move_to_end(key)
            return
        if entry.level >= 0:
            del self._levels[entry.level][key]
        entry.level = level
        self._levels[level][key] = entry

    def drop(self, key: Key) -> Kept | None:
        """Forget this key; return what was kept of it."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.level >= 0:
            del self._levels[entry.level][key]
        return entry

    def memory(self, bytes_of: Callable[[Key, Kept], int]) -> int:
        """Return about how many bytes the table takes. `bytes_of` is asked of a few entries of each level."""
        total = getsizeof(self._entries)
        for level in self._levels:
            total += getsizeof(level)
            if level:
                some = dict(chain(islice(level.items(), MEASURED), islice(reversed(level.items()), MEASURED)))
                total += len(level) * sum(bytes_of(*one) for one in some.items()) // len(some)
        return total

    def _evict(self) -> None:
        for level in self._levels:
            if level:
                key, _ = level.popitem(last=False)
                del self._entries[key]
                self.evicted += 1
                return

    def _forget_quiet(self, horizon: Timestamp) -> None:
        """Forget a few that were quiet since before `horizon`: the quietest of a level stands first."""
        left = FORGOTTEN_AT_ONCE
        for level in self._levels:
            while level and left:
                key = next(iter(level))
                if level[key].last >= horizon:
                    break
                del level[key], self._entries[key]
                left -= 1
