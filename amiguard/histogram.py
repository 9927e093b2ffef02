"""How long something takes, counted by size. Pure."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: the upper ends of the buckets; above them is one more without an end."""


class Histogram:
    """Counts durations."""

    def __init__(self) -> None:
        self.sum = 0.0
        """All durations together, in seconds."""
        self._counts = [0] * (len(BOUNDS) + 1)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.sum += seconds
        self._counts[bisect_left(BOUNDS, seconds)] += 1

    def cumulated(self) -> list[tuple[float, int]]:
        """Return for each bound how many took at most so long; the last is infinite."""
        return list(zip((*BOUNDS, float("inf")), accumulate(self._counts), strict=True))
