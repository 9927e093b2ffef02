"""How long to wait before the next try of what failed. Knows no clock and no loop, only chance."""

from __future__ import annotations

from random import SystemRandom

_random = SystemRandom()


class Retry:
    """Waits that double each time, from `first` up to `longest` seconds.

    Up to half of each is left out by chance, so that many servers do not come back at the same moment."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._delay = first

    def next(self) -> float:
        """Return the seconds to wait now; the next wait is longer."""
        delay = self._delay
        self._delay = min(delay * 2, self._longest)
        return _random.uniform(delay / 2, delay)

    def reset(self) -> None:
        """Begin with short waits again: it succeeded."""
        self._delay = self._first
