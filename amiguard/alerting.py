"""Tells the administrator at once of what he should look at: in the log, and through every notifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from amiguard.journal import Action, Journal
from amiguard.ports import Clock, Notice, NoticeKind, Notifier

ALERTS = (
    Action.AMI_LOST,
    Action.AMI_CONNECTED,
    Action.LOG_LOST,
    Action.LOG_OPENED,
    Action.ACCOUNT_UNDER_ATTACK,
    Action.SUSPECTED_COMPROMISE,
    Action.PHONE_FAILING,
)
"""What is alerted of: counted from 0 on, for who looks at the difference misses a count that begins with 1."""


class Alerting:
    """Fulfils `ports.Alert`."""

    def __init__(self, notifiers: Sequence[Notifier], journal: Journal, clock: Clock) -> None:
        self._notifiers = notifiers
        self._journal = journal
        self._clock = clock
        self.counts: Counter[Action] = Counter(dict.fromkeys(ALERTS, 0))
        """How many there were of each action."""

    def __call__(self, action: Action, text: str, /, **fields: object) -> None:
        """Write the log line of `action` and post a notice that says the same; see `ports.Alert`."""
        self._journal.write(action, text, **fields)
        self.post(action, text)

    def post(self, action: Action, text: str) -> None:
        """Post a notice of what stands in the log already."""
        self.counts[action] += 1
        notice = Notice(NoticeKind.ALERT, self._clock(), text=text, action=action)
        for notifier in self._notifiers:
            notifier.post(notice)
