"""Follows Asterisk's logs and hands each line on, in the loop step in which it was read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from amiguard.journal import Action, Journal
from amiguard.model import Timestamp
from amiguard.ports import Clock, Position
from amiguard.sources.logfile.follower import Follower
from amiguard.sources.logfile.watching import Watch
from amiguard.sources.throttle import ThrottledJournal

BEHIND = 16 << 20
"""Bytes written and not read from which on it is said."""

BEHIND_FOR = 10_000
"""Milliseconds without ever reaching the end, before it is said: a burst, or a restart, is caught up with by then."""


class LogSource:
    """A `ports.Source`: gives each line of the logs at `paths` to `sink`, as bytes, without its line feed, and whether
    it was written just now or while nobody read.

    Lines of one file come in order and once each. Where a file has an entry in `positions` (its path as text), reading
    goes on there, also in a file that was rotated away meanwhile. Where it has none, reading begins at the end that the
    file has when `run` starts, so that a first start does not ban for old attacks; a file that appears later is read
    from its start. Whether a line is too old to count is the sink's business, for it knows the line's own time.

    The file is the queue: who writes faster than we read makes us late, and the log says `overload`, but no line is
    left out, and no memory grows. What an exception of the sink costs is this one line.

    Files are read in the event loop, a portion at a time: a log on a network file system that hangs stops everything.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        sink: Callable[[Path, bytes, bool], object],
        journal: Journal,
        clock: Clock,
        *,
        positions: Mapping[str, Position] | None = None,
    ) -> None:
        stored = positions or {}
        self._followers = [Follower(path, stored.get(str(path)), journal, clock) for path in dict.fromkeys(paths)]
        self._sink = sink
        self._journal = ThrottledJournal(journal, clock)
        self._clock = clock
        self._begun: Timestamp = 0
        self._caught_up: Timestamp | None = None
        self._last_line: Timestamp | None = None
        self._notified = False

    def positions(self) -> list[Position]:
        """Return up to where each file was handed on, to be stored; also after the end of `run`."""
        return [follower.position for follower in self._followers if follower.position is not None]

    def status(self) -> dict[str, object]:
        """Return how it goes, for `amiguard status`. `up`: every file can be read."""
        followers = self._followers
        return {
            "name": "log",
            "where": " ".join(str(follower.path) for follower in followers),
            "up": all(follower.up for follower in followers),
            "lines": sum(follower.lines for follower in followers),
            "last_line": self._last_line,
            "skipped": sum(follower.skipped for follower in followers),
            "behind": sum(follower.behind for follower in followers),
            "notified": self._notified,
            "error": "; ".join(follower.error for follower in followers if follower.error),
        }

    async def run(self) -> None:
        """Follow the files until cancelled."""
        self._begun = self._clock()
        for follower in self._followers:
            follower.begin()
        watch = Watch()
        try:
            while True:
                if await self._step():
                    continue
                places = set().union(*(follower.places() for follower in self._followers))
                if watch.cover(places):
                    continue
                self._notified = watch.notified
                await watch.wait(self._quiet)
        finally:
            watch.close()
            for follower in self._followers:
                follower.close()

    def _quiet(self) -> bool:
        """Whether a step would find nothing: what was read last is still all there is."""
        if not all(follower.quiet for follower in self._followers):
            return False
        self._caught_up = self._clock()
        return True

    async def _step(self) -> bool:
        """Read a portion of each file; tell whether there is more."""
        busy = False
        for follower in self._followers:
            lines = follower.read()
            if lines:
                self._last_line = self._clock()
                self._hand_over(follower.path, lines)
            busy = follower.busy or busy
            await asyncio.sleep(0)
        self._look_behind(busy=busy)
        return busy

    @property
    def _live(self) -> bool:
        """Whether what is read now was written just now: the end was reached, and not long ago."""
        return self._caught_up is not None and self._clock() - self._caught_up < BEHIND_FOR

    def _hand_over(self, path: Path, lines: Sequence[bytes]) -> None:
        sink, rest, live = self._sink, iter(lines), self._live
        while True:
            try:
                for line in rest:
                    sink(path, line, live)
            except Exception as error:  # noqa: BLE001 -- whatever is wrong with one line, the next must be handled
                self._journal.write(Action.INTERNAL_ERROR, "a log line could not be handled", error=error)
            else:
                return

    def _look_behind(self, *, busy: bool) -> None:
        now = self._clock()
        if not busy:
            self._caught_up = now
            return
        if now - (self._caught_up or self._begun) < BEHIND_FOR:
            return
        behind = sum(follower.behind for follower in self._followers)
        if behind >= BEHIND:
            self._journal.write(
                Action.OVERLOAD,
                "Asterisk's log is written faster than it is read: nothing is lost, but bans come late",
                waiting_bytes=behind,
            )
