"""The journal's lines for those who watch live, as server-sent events.

A flood of lines and a crowd of watchers must not slow a ban: lines are gathered for a moment, and each watcher gets the
same bytes. Who reads too slowly loses lines and is told how many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from amiguard.errors import AmiguardError

TICK = 0.2
"""Seconds for which lines are gathered."""

MOST = 50
"""Lines that are told a tick; the others are counted. Whoever needs each of them reads the log."""

GROUPS = 50
"""The watchers are woken in so many groups, one after the other until the next tick: many at once would stop the loop
for milliseconds."""

RECENT = 200
"""Lines that a new watcher is told first."""

ROOM = 256 * 1024
"""Bytes that wait for one watcher."""

WATCHERS = 200
"""Watchers at once."""


class TooManyWatchers(AmiguardError):
    """So many watch already that one more would cost too much."""


class Watcher:
    """One who watches: what waits for him, within a bound."""

    def __init__(self, first: bytes) -> None:
        self._chunks = deque([first] if first else [])
        self._size = len(first)
        self._lost = 0
        self._over = False
        self._news = asyncio.Event()
        if first:
            self._news.set()

    async def next(self) -> bytes:
        """Return what has come since the last call, as soon as there is something; nothing = the stream ends."""
        await self._news.wait()
        if not self._over:
            self._news.clear()
        parts = [*self._chunks, lost(self._lost)]
        self._chunks.clear()
        self._size = self._lost = 0
        return b"".join(parts)

    def put(self, chunk: bytes, lines: int, delay: float = 0) -> None:
        """Hand over so many lines in `delay` seconds, or count them as lost where there is no room."""
        if self._size + len(chunk) > ROOM:
            self._lost += lines
        else:
            self._chunks.append(chunk)
            self._size += len(chunk)
        asyncio.get_running_loop().call_later(delay, self._news.set)

    def end(self) -> None:
        """Let `next` say that nothing follows, once it has told what waits."""
        self._over = True
        self._news.set()


class Stream:
    """Hands lines to all watchers; `publish` is the journal's tap."""

    def __init__(self) -> None:
        self._number = 0
        self._recent: deque[tuple[int, str]] = deque(maxlen=RECENT)
        self._gathered: list[str] = []
        self._left_out = 0
        self._watchers: dict[Watcher, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return len(self._watchers)

    def publish(self, line: str) -> None:
        """Take a line, which is one JSON object; it costs next to nothing while nobody watches."""
        self._number += 1
        self._recent.append((self._number, line))
        if not self._watchers:
            return
        if len(self._gathered) < MOST:
            self._gathered.append(event(self._number, line))
        else:
            self._left_out += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TICK, self._hand_over)

    @contextmanager
    def watching(self, after: int) -> Iterator[Watcher]:
        """Watch from the line behind number `after` on, as far as that is remembered.

        Raises:
            TooManyWatchers: there is no room for one more.
        """
        if len(self._watchers) >= WATCHERS:
            raise TooManyWatchers(f"{WATCHERS} clients watch already")
        self._hand_over()
        if after > self._number:  # a number of before the restart
            after = 0
        newest_first = takewhile(lambda entry: entry[0] > after, reversed(self._recent))
        watcher = Watcher("".join([event(*entry) for entry in newest_first][::-1]).encode())
        self._watchers[watcher] = None
        try:
            yield watcher
        finally:
            del self._watchers[watcher]

    def close(self) -> None:
        """Tell every watcher what is gathered, and end."""
        self._hand_over()
        for watcher in self._watchers:
            watcher.end()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gathered:
            chunk = "".join(self._gathered).encode() + lost(self._left_out)
            for number, watcher in enumerate(self._watchers):
                watcher.put(chunk, len(self._gathered) + self._left_out, TICK / GROUPS * (number % GROUPS))
        self._gathered, self._left_out = [], 0


def event(number: int, line: str) -> str:
    """Return a line as one server-sent event; JSON holds no line feed."""
    return f"id: {number}\ndata: {line}\n\n"


def lost(lines: int) -> bytes:
    """Return the event that tells how many lines are missing here; nothing for none."""
    return f'event: lost\ndata: {{"lost": {lines}}}\n\n'.encode() if lines else b""
