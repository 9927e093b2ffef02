"""How long to wait before the next try."""

from __future__ import annotations

from random import SystemRandom

_random = SystemRandom()


class Backoff:
    """Full jitter: a random wait between `low` and a ceiling that doubles with every try, up to `high` (seconds).

    Jitter, so that several daemons do not meet again and again at an Asterisk that has just restarted."""

    def __init__(self, low: float, high: float) -> None:
        self._low = low
        self._high = high
        self._ceiling = low

    def next(self) -> float:
        """Return the seconds to wait now; the next wait may be longer."""
        self._ceiling = min(self._high, self._ceiling * 2)
        return _random.uniform(self._low, self._ceiling)

    def reset(self) -> None:
        """Start with short waits again."""
        self._ceiling = self._low
