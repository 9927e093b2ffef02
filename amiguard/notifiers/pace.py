"""What of the notices is told now, and what is gathered and told together later. Pure.

Bans: the first at once, then one digest an interval. Alerts: of each action the first at once, then together. A start
and a stop: always at once."""

from __future__ import annotations

from amiguard.model import Timestamp
from amiguard.notifiers.alerts import Alert, Alerts
from amiguard.notifiers.digest import Digest, Summary
from amiguard.ports import Notice, NoticeKind

Content = Notice | Summary | Alert
"""What one message tells."""


class Pace:
    """Sorts notices into now and later. `interval` is in milliseconds."""

    def __init__(self, interval: int) -> None:
        self._digest = Digest(interval)
        self._alerts = Alerts(interval)

    def admit(self, notice: Notice, now: Timestamp, *, room: bool = True) -> Content | None:
        """Return what is to be told now; None = it was gathered. Without `room` all that can be is gathered."""
        if notice.ban is not None and notice.kind is NoticeKind.BAN:
            if room and self._digest.at_once(now):
                return notice
            self._digest.add(notice.ban)
            return None
        if notice.kind is NoticeKind.ALERT:
            if room and (alert := self._alerts.at_once(notice, now)):
                return alert
            self._alerts.add(notice, now)
            return None
        return notice

    def wait(self, now: Timestamp) -> float | None:
        """Return in how many seconds the first of what was gathered is due; None = nothing is gathered."""
        waits = [left for left in (self._digest.wait(now), self._alerts.wait(now)) if left is not None]
        return min(waits) / 1000 if waits else None

    def take(self, now: Timestamp, *, early: bool = False) -> list[Content]:
        """Return what was gathered and is due, or `early` all of it. A digest of one ban is told as a ban."""
        contents: list[Content] = [*self._alerts.take(now, early=early)]
        if (early or self._digest.wait(now) == 0) and (summary := self._digest.take(now)):
            only = summary.count == 1
            contents.append(Notice(NoticeKind.BAN, summary.until, summary.bans[0]) if only else summary)
        return contents
