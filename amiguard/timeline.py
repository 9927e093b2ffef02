"""Failures and bans, minute by minute, over the last day. Pure, and bounded: a minute takes the place of the one a day
before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from amiguard.model import MINUTE, MINUTES, Minute, Timestamp


class Counted(Protocol):
    """What was counted since the start: `judge.Counters`."""

    failures: int
    bans: int


class Timeline:
    """Looks at the totals now and then, and keeps what each minute added to them.

    `remember` is told of each minute that changed."""

    def __init__(self, counted: Counted, remember: Callable[[Minute], object] = lambda _: None) -> None:
        self._counted = counted
        self._remember = remember
        self._minutes: dict[int, Minute] = {}
        """By their place in the day."""
        self._failures = 0
        self._bans = 0

    def note(self, now: Timestamp) -> None:
        """Take what the totals say now; to be called every few seconds."""
        failures, bans = self._counted.failures - self._failures, self._counted.bans - self._bans
        if failures or bans:
            self._failures, self._bans = self._counted.failures, self._counted.bans
            self._remember(self._add(Minute(now // MINUTE * MINUTE, failures, bans)))

    def restore(self, minutes: Iterable[Minute], now: Timestamp) -> None:
        """Take up what was remembered before; what happened in the same minutes since the start comes on top."""
        for minute in minutes:
            if minute.at <= now and (kept := self._add(minute)) != minute:
                self._remember(kept)

    def minutes(self, now: Timestamp) -> list[Minute]:
        """Return the minutes of the last day in which something happened, up to now, the oldest first."""
        self.note(now)
        return sorted(minute for minute in self._minutes.values() if minute.at > now - MINUTES * MINUTE)

    def _add(self, more: Minute) -> Minute:
        """Return what is kept of this minute now; of two days the later one stays."""
        kept = self._minutes.get(more.place, Minute(more.at, 0, 0))
        if kept.at == more.at:
            more = Minute(more.at, kept.failures + more.failures, kept.bans + more.bans)
        newest = self._minutes[more.place] = max(kept, more)
        return newest
