"""The bans that the kernel is yet to take: in their order, a batch at a time, within a bound. Pure."""

from __future__ import annotations

from itertools import islice

from amiguard.model import Ban, Target, Timestamp

BATCH = 200
"""Bans a transaction: together with their log lines a few milliseconds, then the loop breathes."""

CAPACITY = 1_000_000
"""Bans that wait at once; later ones are left out."""


class Backlog:
    """Who waits, in `waiting`; of one target only the latest ban."""

    def __init__(self) -> None:
        self.waiting: dict[Target, Ban] = {}
        self._batch = BATCH

    def add(self, ban: Ban) -> None:
        """Let a ban wait, while there is room."""
        if len(self.waiting) < CAPACITY:
            self.waiting[ban.target] = ban

    def batch(self, now: Timestamp) -> list[Ban]:
        """Return those that are next, without those whose time ran out while they waited."""
        batch = []
        for ban in list(islice(self.waiting.values(), self._batch)):
            if ban.remaining(now) == 0:
                del self.waiting[ban.target]
            else:
                batch.append(ban)
        return batch

    def done(self, ban: Ban) -> bool:
        """Note that the kernel took one; False: another ban of its target has replaced it meanwhile, and waits on."""
        if self.waiting.get(ban.target) is not ban:
            return False
        del self.waiting[ban.target]
        return True

    def try_all(self) -> None:
        """Note that the kernel has room."""
        self._batch = BATCH

    def try_fewer(self, batch: int) -> None:
        """Note that so many found no room: try half as many, and let none that finds no room keep others waiting."""
        self._batch = max(1, batch // 2)
        if batch == 1:
            first = next(iter(self.waiting))
            self.waiting[first] = self.waiting.pop(first)
