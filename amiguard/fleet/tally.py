"""Counts failures together with the other nodes: whoever tries a little everywhere is banned too.

The local decision never waits for it: a failure is put down here, and Redis is asked afterwards."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import count, islice

from amiguard.fleet.link import Link
from amiguard.nodes import Observation, Totals
from amiguard.ports import Clock

CAPACITY = 10_000
"""Failures that wait; the oldest makes room."""

BATCH = 100
"""Failures counted in one round trip."""

PAUSE = 0.1
"""Seconds between two round trips: a flood of forged sources costs a node no more than 1000 failures a second."""


class Tally:
    """The failures that the fleet has not counted yet. `instance` tells those of this process from all others."""

    def __init__(self, instance: str, clock: Clock) -> None:
        self.counted = 0
        """Failures that Redis has counted."""
        self._clock = clock
        self._names = (f"{instance}:{number}" for number in count())
        self._waiting: deque[tuple[str, Observation]] = deque(maxlen=CAPACITY)
        self._wake = asyncio.Event()

    def put(self, observation: Observation) -> None:
        """Take a failure."""
        self._waiting.append((next(self._names), observation))
        self._wake.set()

    async def flush(self, link: Link, counted: Callable[[Observation, Totals], None]) -> None:
        """Wait for failures, have some counted, and tell `counted` how many there are.

        Raises:
            FleetError: they wait on.
        """
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        batch = list(islice(self._waiting, BATCH))
        totals = await link.count(batch, self._clock())
        for told, total in zip(batch, totals, strict=True):
            if self._waiting and self._waiting[0] is told:  # else it made room meanwhile
                self._waiting.popleft()
            counted(told[1], total)
        self.counted += len(batch)
