"""Who asks and never answers: scanners that leave every challenge unanswered, so no event tells of a failure. Pure.

Every phone is challenged. It answers within seconds, and then there is a login or a failure under the same address,
port and Call-ID. What was not answered after `PATIENCE` never will be.

Some phones ask without ever answering, such as OPTIONS to keep a router's door open. But they log in too: nothing is
held against an address where somebody logged in, nor against anybody before the phones had time to (`rulebook`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

from amiguard.asterisk.weights import failure_of, row_of
from amiguard.attempts import Key
from amiguard.chansip import Report
from amiguard.jail import Jail
from amiguard.model import Failure, Reason, Timestamp
from amiguard.policy import Policy

PATIENCE = 32_000
"""Milliseconds in which a client answers: 64*T1, after which it takes its request for lost (RFC 3261, 17.1.2.2)."""

WAITING = 20_000
"""Challenges that may wait for their answer at once, about 10 MB, 50 MB if all of their text is as long as can be;
beyond it the oldest counts at once."""


class Scanners:
    """Finds challenges that nobody answers, and counts them per address: `jail` bans at `scan.challenges` of them."""

    def __init__(self, policy: Policy) -> None:
        self.jail = Jail(scan_policy(policy))
        self._waiting: OrderedDict[Key, tuple[Timestamp, Report]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether more wait than may: it is time to look for what is unanswered."""
        return len(self._waiting) > WAITING

    def overdue(self, now: Timestamp) -> bool:
        """Whether `unanswered` has something to look at."""
        if not self._waiting:
            return False
        since, _ = next(iter(self._waiting.values()))
        return self.full or not -PATIENCE <= now - since <= PATIENCE

    def challenged(self, key: Key, report: Report, now: Timestamp) -> None:
        """Asterisk sent a challenge, of which we were told at `now`."""
        self._waiting.pop(key, None)
        self._waiting[key] = now, report

    def answered(self, key: Key) -> None:
        """Whoever was challenged answered, rightly or wrongly."""
        self._waiting.pop(key, None)

    def unanswered(self, now: Timestamp) -> Iterator[Failure]:
        """Yield, once, what nobody answered in time. What the clock was set back over is forgotten."""
        while self.overdue(now):
            _, (since, report) = self._waiting.popitem(last=False)
            if now - since >= -PATIENCE:
                yield unanswered(report)


def unanswered(report: Report) -> Failure:
    """Return the failed attempt that a challenge stands for which nobody answered."""
    event, source, at = report
    return failure_of(event, row_of(event), at, source)._replace(reason=Reason.SCAN, weight=1)


def scan_policy(policy: Policy) -> Policy:
    """Return the policy by which unanswered challenges are counted."""
    return policy if policy.scan is None else replace(policy, maxretry=policy.scan.challenges)
