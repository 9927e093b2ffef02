"""How long a notifier waits before it tries again."""

from __future__ import annotations

from random import SystemRandom

SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 120.0


def pause(failures: int) -> float:
    """Return how many seconds to wait after `failures` tries in a row that brought nothing.

    Half of it is random, so that many servers don't return to a revived receiver at the same moment."""
    return min(LONGEST_PAUSE, SHORTEST_PAUSE * 2.0 ** min(failures, 10)) * SystemRandom().uniform(0.5, 1)
