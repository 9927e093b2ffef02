"""The one clock."""

from __future__ import annotations

import time

from amiguard.model import Timestamp
from amiguard.ports import Clock

_NANOSECONDS = 1_000_000


def steady_clock() -> Clock:
    """Return a clock that tells today's time once and then advances steadily, also while the machine sleeps.

    When somebody sets the wall clock, a `findtime` must not stretch, and a ban must not end early."""
    start = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def now() -> Timestamp:
        return (start + time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // _NANOSECONDS

    return now
