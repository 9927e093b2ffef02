"""How much one node of a fleet may have others do, and all of them together. Pure.

A node that is broken or taken over must not fill the kernel's sets, nor keep the others busy. What nodes call
themselves is only what they say: so all together have a bound too, and so has the number of names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice

from amiguard.model import Target, Timestamp

BURST, RATE = 10_000, 50
"""Changes of one node at once, and a second."""

ALL_BURST, ALL_RATE = 50_000, 1_000
"""Changes of all nodes together."""

MAX_NODES = 2_000
"""Names of nodes at once; one that was quiet for long makes room."""

HELD, ALL_HELD = 20_000, 100_000
"""Bans of one node, and of all together, that are in force at once."""

ALLOWED, ALL_ALLOWED = 256, 1_000
"""Targets that are never banned on the word of one node, and of all together."""

RECOUNT = 10_000
"""Milliseconds between the beginnings of two rounds of looks at which of them have ended."""

LOOKS = 1_000
"""How many are looked at for one who finds no room."""


class _Bucket:
    __slots__ = ("at", "burst", "left", "rate")

    def __init__(self, burst: int, rate: int, now: Timestamp) -> None:
        self.burst, self.rate, self.left, self.at = burst, rate, float(burst), now

    def fill(self, now: Timestamp) -> None:
        self.left = min(self.burst, self.left + max(0, now - self.at) * self.rate / 1000)
        self.at = now


class Quota:
    """Counts what nodes tell. `holds` says whether a ban is still in force."""

    def __init__(self, holds: Callable[[Target], bool]) -> None:
        self._holds = holds
        self._all: _Bucket | None = None
        self._nodes: OrderedDict[str, _Bucket] = OrderedDict()
        self._banned: dict[Target, str] = {}
        self._counted: dict[str, int] = {}
        self._recounted: Timestamp = 0
        self._round: Iterator[Target] = iter(())
        """Who is still to be looked at in this round."""

    def admits(self, node: str, now: Timestamp) -> bool:
        """Whether one more change of this node is to be looked at now; if so, it counts."""
        if self._all is None:
            self._all = _Bucket(ALL_BURST, ALL_RATE, now)
        bucket = self._bucket(node, now)
        self._all.fill(now)
        if bucket is None or bucket.left < 1 or self._all.left < 1:
            return False
        bucket.left -= 1
        self._all.left -= 1
        return True

    def has_room(self, target: Target, node: str, now: Timestamp) -> bool:
        """Whether this node may have one more target banned."""
        if self._banned.get(target) == node or self._fits(target, node):
            return True
        if now - self._recounted >= RECOUNT:
            self._recounted = now
            self._round = iter(list(self._banned))
        for looked_at in islice(self._round, LOOKS):
            if not self._holds(looked_at):
                self._counted[self._banned.pop(looked_at)] -= 1
        return self._fits(target, node)

    def book(self, target: Target, node: str) -> None:
        """Note that a node has a target banned."""
        before = self._banned.get(target)
        if before is not None:
            self._counted[before] -= 1
        self._banned[target] = node
        self._counted[node] = self._counted.get(node, 0) + 1

    def _fits(self, target: Target, node: str) -> bool:
        room = target in self._banned or len(self._banned) < ALL_HELD
        return room and self._counted.get(node, 0) < HELD

    def _bucket(self, node: str, now: Timestamp) -> _Bucket | None:
        bucket = self._nodes.get(node)
        if bucket is None:
            if len(self._nodes) >= MAX_NODES:
                oldest = next(iter(self._nodes.values()))
                oldest.fill(now)
                if oldest.left < oldest.burst:
                    return None
                self._nodes.popitem(last=False)
            bucket = self._nodes[node] = _Bucket(BURST, RATE, now)
        bucket.fill(now)
        self._nodes.move_to_end(node)
        return bucket
