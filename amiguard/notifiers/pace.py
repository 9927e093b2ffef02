"""What of the notices is told now, and what is gathered and told together later. Pure.

Bans: the first at once, then one digest an interval. Alerts, and unbans as one of their actions: the first of each
action at once, then together. A start and a stop: always at once."""

from __future__ import annotations

from amiguard.journal import Action
from amiguard.model import Ban, Timestamp
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
        match notice:
            case Notice(NoticeKind.BAN, ban=Ban() as ban):
                if room and self._digest.at_once(now, notice.dropped):
                    return notice
                self._digest.add(ban, notice.dropped)
            case Notice(NoticeKind.UNBAN, ban=Ban(target=target)):
                text = f"{target} is let through again"
                repeated = Notice(NoticeKind.ALERT, notice.at, text=text, action=Action.UNBAN)
                return notice if self._admit_alert(repeated, now, room=room) else None
            case Notice(NoticeKind.ALERT):
                return self._admit_alert(notice, now, room=room)
            case _:
                return notice
        return None

    def _admit_alert(self, notice: Notice, now: Timestamp, *, room: bool) -> Alert | None:
        if room and (alert := self._alerts.at_once(notice, now)):
            return alert
        self._alerts.add(notice, now)
        return None

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
