"""Pages through many bans in a stable order while bans come and go."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from amiguard.control.requests import BadRequest
from amiguard.errors import AmiguardError
from amiguard.model import Ban, Target, Timestamp

SHARED = 1_000
"""Milliseconds within which listings of several clients share one snapshot: of a million bans, one takes some 10 ms."""

KEPT = 4
"""Snapshots that are continued; the one that was not asked for the longest makes room."""


class ListingExpired(AmiguardError):
    """A listing can't be continued: it has to be begun anew."""


class Listing:
    """The newest bans first, a page at a time: none twice, and none that stays is left out.

    A listing walks through a snapshot of who was banned when it began; who is free again meanwhile is skipped. Nothing
    is sorted: sorting a million bans would take a second, in which no event is read."""

    def __init__(self, bans: Callable[[], Sequence[Ban]], find: Callable[[Target], Ban | None]) -> None:
        self._bans = bans
        self._find = find
        self._snapshots: dict[str, Sequence[Ban]] = {}
        """By name; the one that was asked for last stands last."""
        self._newest = ""
        self._taken: Timestamp = 0

    def page(self, now: Timestamp, cursor: str | None, limit: int) -> tuple[list[Ban], str | None]:
        """Return at most `limit` bans from `cursor` on, and the cursor of the next page, if there is one.

        Raises:
            BadRequest: that is no cursor.
            ListingExpired: its listing is forgotten.
        """
        name, start = (self._begin(now), 0) if cursor is None else self._continue(cursor)
        bans = self._snapshots[name]
        end = len(bans) - start
        page = [ban for old in reversed(bans[max(0, end - limit) : end]) if (ban := self._find(old.target))]
        return page, f"{name}.{start + limit}" if end > limit else None

    def changed(self) -> None:
        """Let the next listing begin anew: its client has just banned or unbanned, and wants to see it."""
        self._newest = ""

    def _begin(self, now: Timestamp) -> str:
        if self._newest not in self._snapshots or not 0 <= now - self._taken < SHARED:
            self._newest, self._taken = secrets.token_hex(8), now
            self._snapshots[self._newest] = self._bans()
            while len(self._snapshots) > KEPT:
                del self._snapshots[next(iter(self._snapshots))]
        return self._newest

    def _continue(self, cursor: str) -> tuple[str, int]:
        name, _, offset = cursor.partition(".")
        if not (offset.isascii() and offset.isdigit() and len(offset) <= len("1000000")):
            raise BadRequest("cursor is none that was given out")
        if name not in self._snapshots:
            raise ListingExpired("this listing was forgotten; begin anew, without a cursor")
        self._snapshots[name] = self._snapshots.pop(name)
        return name, int(offset)
