"""Keeps a fault that repeats with every packet from flooding our own log."""

from __future__ import annotations

from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.ports import Clock

INTERVAL = 60_000


class ThrottledJournal:
    """A journal that lets one line of each action through per `interval` milliseconds.

    The line after a pause says in the field `suppressed` how many were left out."""

    def __init__(self, journal: Journal, clock: Clock, interval: int = INTERVAL) -> None:
        self._journal = journal
        self._clock = clock
        self._interval = interval
        self._next: dict[Action, Timestamp] = {}
        self._suppressed: dict[Action, int] = {}

    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        """Write the line, or count it."""
        now = self._clock()
        if now < self._next.get(action, now):
            self._suppressed[action] = self._suppressed.get(action, 0) + 1
            return
        self._next[action] = now + self._interval
        self._journal.write(action, message, suppressed=self._suppressed.pop(action, 0), **fields)
