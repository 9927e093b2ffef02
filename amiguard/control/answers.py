"""Bans as the control interface shows them, page by page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from amiguard.model import Ban, Target, Timestamp, network_of, target_of

FRESH = 60_000
"""A listing that was begun longer ago than this (milliseconds) is not continued but taken anew."""


def shown(ban: Ban, now: Timestamp) -> dict[str, object]:
    """Return a ban as JSON: times in ISO 8601, `remaining` in seconds, rounded up; both None for a permanent one."""
    remaining = ban.remaining(now)
    return {
        "address": ban.target,
        "since": iso(ban.since),
        "until": None if ban.until is None else iso(ban.until),
        "remaining": None if remaining is None else -(-remaining // 1000),
        "reason": ban.reason,
        "origin": ban.origin,
        "evidence": ban.evidence,
        "absolute": ban.absolute,
        "failures": ban.failures,
        "earlier": ban.earlier,
        "accounts": ban.accounts,
        "service": ban.service,
        "transport": ban.transport,
        "source": ban.source,
        "comment": ban.comment,
    }


def iso(at: Timestamp) -> str:
    """Return a moment in ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(at // 1000, UTC).isoformat().replace("+00:00", "Z")


def covering(target: Target, find: Callable[[Target], Ban | None]) -> list[Ban]:
    """Return the bans that `target` falls under, the narrowest first: its own, then those of networks around it."""
    network = network_of(target)
    wider = (target_of(network.supernet(new_prefix=prefix)) for prefix in range(network.prefixlen, -1, -1))
    return [ban for ban in map(find, wider) if ban is not None]


class Listing:
    """Pages through many bans in a stable order while bans come and go.

    A page is found by the last target of the page before, so that none is shown twice and none that stays is left out.
    The order is kept from page to page: sorting a hundred thousand targets takes some 30 ms, in which no event is
    read."""

    def __init__(self) -> None:
        self._targets: list[Target] = []
        self._taken: Timestamp = 0

    def page(
        self,
        bans: Callable[[], Sequence[Ban]],
        find: Callable[[Target], Ban | None],
        now: Timestamp,
        after: Target | None,
        limit: int,
    ) -> tuple[list[Ban], Target | None]:
        """Return at most `limit` bans whose target comes after `after`, and the cursor of the next page, if any."""
        if after is None or not self._targets or not 0 <= now - self._taken <= FRESH:
            self._targets = sorted([ban.target for ban in bans()])
            self._taken = now
        start = 0 if after is None else bisect_right(self._targets, after)
        targets = self._targets[start : start + limit]
        more = start + limit < len(self._targets)
        if not more:
            self._targets = []
        return [ban for ban in map(find, targets) if ban is not None], targets[-1] if more else None
