"""Failures and bans, minute by minute, over the last day. Pure and bounded; it begins empty with each start."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from amiguard.model import Timestamp

MINUTE = 60_000
MINUTES = 24 * 60


@dataclass(slots=True)
class Minute:
    """What happened in one minute that began `at`."""

    at: Timestamp
    failures: int
    bans: int


class Timeline:
    """Is told the totals now and then, and keeps what each minute added to them."""

    def __init__(self) -> None:
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)
        self._failures = 0
        self._bans = 0

    def note(self, now: Timestamp, failures: int, bans: int) -> None:
        """Take the totals since the start."""
        more_failures, more_bans = failures - self._failures, bans - self._bans
        self._failures, self._bans = failures, bans
        if not more_failures and not more_bans:
            return
        at = now // MINUTE * MINUTE
        if self._minutes and self._minutes[-1].at == at:
            self._minutes[-1].failures += more_failures
            self._minutes[-1].bans += more_bans
        else:
            self._minutes.append(Minute(at, more_failures, more_bans))

    def minutes(self, now: Timestamp) -> list[Minute]:
        """Return the minutes of the last day in which something happened, the oldest first."""
        return [minute for minute in self._minutes if minute.at > now - MINUTES * MINUTE]
