"""How often bans are told: the first at once, then one digest an interval, and after a quiet interval at once again.

Pure. Memory is bounded whatever a flood brings: counts, at most `ROWS` bans and `NAMES` account names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import heappush, heappushpop

from amiguard.model import Ban, Drops, Reason, Target, Timestamp
from amiguard.notifiers.wording import NAME_LIMIT

ROWS = 50
NAMES = 1000
TOP = 10
SHORTEST = 1000
LOCATED = 1000
"""Targets whose country is told."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What happened between two mails. `bans` are the first ones of `count`."""

    since: Timestamp
    until: Timestamp
    count: int
    bans: tuple[Ban, ...]
    reasons: tuple[tuple[Reason, int], ...]
    accounts: tuple[tuple[str, int], ...]
    """The names tried most, and by how many of the banned: attacker text."""
    top: tuple[Ban, ...] = ()
    """Those with the most failures, the worst first."""
    targets: tuple[Target, ...] = ()
    """The first ones of all that were banned, for what is known of their countries."""
    dropped: Drops | None = None
    """What the kernel has dropped meanwhile; None = it does not tell."""

    @property
    def unlisted(self) -> int:
        """How many bans `bans` leaves out."""
        return self.count - len(self.bans)


class Digest:
    """Gathers bans that are not told at once. `interval` is in milliseconds."""

    def __init__(self, interval: int) -> None:
        self._interval = max(interval, SHORTEST)
        self._due: Timestamp | None = None
        self._dropped_before: Drops | None = None
        self._clear(0)

    def _clear(self, now: Timestamp) -> None:
        self._since = now
        self._count = 0
        self._bans: list[Ban] = []
        self._reasons: Counter[Reason] = Counter()
        self._accounts: Counter[str] = Counter()
        self._top: list[tuple[int, int, Ban]] = []
        self._targets: list[Target] = []
        self._dropped = self._dropped_before

    def at_once(self, now: Timestamp, dropped: Drops | None = None) -> bool:
        """Tell whether a ban at `now` deserves its own mail; if so, the interval starts."""
        if self._count or self._left(now):
            return False
        self._due = now + self._interval
        self._since = now
        self._dropped = self._dropped_before = dropped
        return True

    def add(self, ban: Ban, dropped: Drops | None = None) -> None:
        """Gather `ban`. O(1)."""
        self._count += 1
        self._dropped = dropped
        worst = (ban.failures, -self._count, ban)
        if len(self._top) < TOP:
            heappush(self._top, worst)
        else:
            heappushpop(self._top, worst)
        if len(self._targets) < LOCATED:
            self._targets.append(ban.target)
        self._reasons[ban.reason] += 1
        if len(self._bans) < ROWS:
            self._bans.append(ban)
        for account in ban.accounts[:TOP]:
            name = account[: NAME_LIMIT + 1]
            if name in self._accounts or len(self._accounts) < NAMES:
                self._accounts[name] += 1

    def wait(self, now: Timestamp) -> int | None:
        """Return in how many milliseconds the digest is due; None = nothing is gathered."""
        return self._left(now) if self._count else None

    def _left(self, now: Timestamp) -> int:
        return 0 if self._due is None else max(0, self._due - now)

    def take(self, now: Timestamp) -> Summary | None:
        """Return what was gathered and start the next interval; None = nothing."""
        if not self._count:
            return None
        summary = Summary(
            since=self._since,
            until=now,
            count=self._count,
            bans=tuple(self._bans),
            reasons=tuple(self._reasons.most_common()),
            accounts=tuple(self._accounts.most_common(TOP)),
            top=tuple(ban for _, _, ban in sorted(self._top, reverse=True) if ban.failures),
            targets=tuple(self._targets),
            dropped=_since(self._dropped_before, self._dropped),
        )
        self._dropped_before = self._dropped
        self._clear(now)
        self._due = now + self._interval
        return summary


def _since(before: Drops | None, now: Drops | None) -> Drops | None:
    """Return what was dropped between two counts; the kernel counts anew when its table was made anew."""
    if before is None or now is None or now.packets < before.packets:
        return now
    return Drops(now.packets - before.packets, now.bytes - before.bytes)
