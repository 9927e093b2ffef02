"""Who was banned before, and how often. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from amiguard.model import Ban, Target, Timestamp
from amiguard.policy import RECIDIVE_FINDTIME

MAX_TIMES = 20
"""Times remembered an offender, the newest: no setting asks for more."""

FORGOTTEN = 1_000
"""Targets that are forgotten at a time: one by one, a dict would look for its first entry longer and longer."""


class History:
    """The earlier bans of at most `capacity` targets; who was banned longest ago is forgotten first.

    When the bans began is only kept while `keep_times` is set."""

    def __init__(self, capacity: int) -> None:
        self.keep_times = False
        self.forgotten = 0
        """Targets forgotten for want of room."""
        self._capacity = capacity
        self._bans: dict[Target, int] = {}
        self._times: dict[Target, tuple[Timestamp, ...]] = {}

    def __len__(self) -> int:
        return len(self._bans)

    def adopt(
        self, counts: Mapping[Target, int], times: Mapping[Target, tuple[Timestamp, ...]], running: Iterable[Ban]
    ) -> None:
        """Take up what a store remembers; of who is banned for the first time it need not tell the time."""
        self._bans.update(counts)
        if self.keep_times:
            for ban in running:
                self._times.setdefault(ban.target, (ban.since,))
            self._times.update(times)

    def add(self, ban: Ban) -> None:
        """Count a ban that is in force now."""
        target = ban.target
        self._bans[target] = self._bans.pop(target, 0) + 1
        if self.keep_times:
            self._times[target] = (*self._times.get(target, ()), ban.since)[-MAX_TIMES:]
        if len(self._bans) > self._capacity:
            for oldest in list(islice(self._bans, FORGOTTEN)):
                del self._bans[oldest]
                self._times.pop(oldest, None)
                self.forgotten += 1

    def earlier(self, target: Target) -> int:
        """Return how often this target was banned in all."""
        return self._bans.get(target, 0)

    def recent(self, target: Target, now: Timestamp) -> int:
        """Return how many of its bans began within the week before `now`; 0 where times are not kept."""
        return sum(now - RECIDIVE_FINDTIME <= at <= now for at in self._times.get(target, ()))
