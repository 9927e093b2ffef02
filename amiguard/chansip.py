"""Who a user of chan_sip is: the witness that knows it, and those that only repeat what he says.

The sender chooses the address that chan_sip's events name, in AMI and in SECURITY lines (`Via: ...;maddr=`); its NOTICE
lines name the true one. So where a log with NOTICE lines is followed, the others are not believed. Whether it has such
lines shows with the first of them: until then, the others wait for `PATIENCE`, and count if none came."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from amiguard.asterisk.schema import SecurityEvent
from amiguard.model import Timestamp

PATIENCE = 2_000
"""Milliseconds in which the NOTICE line of an event must have come."""

REMEMBERED = 24 * 3600 * 1000
"""Milliseconds for which one NOTICE line shows that the log has them."""

CAPACITY = 1_000
"""Events that wait at most; beyond it the oldest count at once."""


class Report(NamedTuple):
    """What a witness reports, and when it happened."""

    event: SecurityEvent
    source: str
    at: Timestamp


class ChanSip:
    """Sorts what is reported of chan_sip. `log_followed`: whether a log is read at all."""

    def __init__(self, *, log_followed: bool) -> None:
        self.log_followed = log_followed
        self._noticed: Timestamp | None = None
        self._waiting: deque[tuple[Timestamp, Report]] = deque()

    def admit(self, report: Report, now: Timestamp) -> list[Report]:
        """Take what was reported at `now`; return what may be judged."""
        if report.source.startswith("log"):
            self._noticed = now
            self._waiting.clear()
            return [report]
        if not self.log_followed or report.event.tampered:
            return [report]
        if self._noticed is not None and now - self._noticed <= REMEMBERED:
            return []
        self._waiting.append((now, report))
        return self.release(now)

    @property
    def waits(self) -> bool:
        """Whether an event waits for its NOTICE line."""
        return bool(self._waiting)

    def release(self, now: Timestamp) -> list[Report]:
        """Return what waited for a NOTICE line in vain."""
        out = []
        while self._waiting and (now - self._waiting[0][0] > PATIENCE or len(self._waiting) > CAPACITY):
            out.append(self._waiting.popleft()[1])
        return out
