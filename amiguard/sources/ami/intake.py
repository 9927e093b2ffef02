"""From a block to the sink, in one step of the event loop: no queue, no task, no await."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from amiguard.asterisk.events import EventParser
from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action, Journal
from amiguard.model import Address, Timestamp
from amiguard.ports import Clock
from amiguard.sources.throttle import ThrottledJournal

RECENT = 32
"""How many of our sockets are remembered: an event about one may come after its end, on the next connection."""

LONGEST_HOLD = 1.0
"""Seconds until held events are looked at again, should the clock have been set back meanwhile."""


class AmiIntake:
    """Parses blocks, leaves out what we caused ourselves, and gives the rest to the sink.

    It outlives connections. `events` counts what the sink was given, `last_event` is when it got the latest; `parser`
    counts what was tampered with or unreadable."""

    def __init__(self, username: str, sink: Callable[[SecurityEvent], object], journal: Journal, clock: Clock) -> None:
        self.events = 0
        self.last_event: Timestamp | None = None
        self.parser = EventParser()
        self.gate: Callable[[SecurityEvent], bool] | None = None
        """Asked about each event, our own included, whether it may pass; see `handover`."""
        self._username = username
        self._sink = sink
        self._journal = ThrottledJournal(journal, clock)
        self._clock = clock
        self._own: deque[tuple[Address, int]] = deque(maxlen=RECENT)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, local: tuple[Address, int]) -> None:
        """A connection stands; `local` is our end of it."""
        self._own.append(local)

    def end(self) -> None:
        """The connection is gone: nothing more can follow what is held back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._take(self._parse(self.parser.close), self._clock())

    def receive(self, blocks: list[bytes], complete: bool) -> None:
        """Take the blocks of one read; `complete`: no part of another is waiting for its end."""
        now = self._clock()
        unreadable = self.parser.unreadable
        for block in blocks:
            events = self._parse(self.parser.feed, block, now)
            if events:
                self._take(events, now)
        if complete:
            self._take(self._parse(self.parser.idle), now)
        if self.parser.unreadable > unreadable:
            self._journal.write(
                Action.AMI_UNREADABLE,
                "a security event fits no known schema and was not counted: a newer Asterisk?",
                unreadable=self.parser.unreadable,
            )
        self._schedule()

    def behind(self, waiting: int) -> None:
        """Asterisk writes faster than we read: `waiting` bytes are in the kernel's buffer."""
        self._journal.write(
            Action.OVERLOAD,
            "events arrive faster than they are handled; if this goes on, Asterisk will end the connection",
            waiting_bytes=waiting,
        )

    def _schedule(self) -> None:
        deadline = self.parser.deadline
        if self._timer is None and deadline is not None:
            delay = min(max(deadline - self._clock(), 1) / 1000, LONGEST_HOLD)
            self._timer = asyncio.get_running_loop().call_later(delay, self._release)

    def _release(self) -> None:
        self._timer = None
        now = self._clock()
        self._take(self._parse(self.parser.release, now), now)
        self._schedule()

    def _take(self, events: list[SecurityEvent], now: Timestamp) -> None:
        for event in events:
            if self.gate is None or self.gate(event):
                self.tell(event, now)

    def tell(self, event: SecurityEvent, now: Timestamp) -> None:
        """Give an event to the sink, unless we caused it ourselves."""
        if event.service == "AMI" and self._is_own(event):
            return
        self.events += 1
        self.last_event = now
        try:
            self._sink(event)
        except Exception as error:  # noqa: BLE001 -- one event must neither end the connection nor stop the next
            self._failed(error)

    def _parse(self, call: Callable[..., list[SecurityEvent]], *args: object) -> list[SecurityEvent]:
        """Return what the parser makes of it. Should it fail, save what it holds, and go on with a new one."""
        try:
            return call(*args)
        except Exception as error:  # noqa: BLE001 -- one block must neither end the connection nor stop the next
            self._failed(error)
            broken, self.parser = self.parser, EventParser()
        return [] if call == broken.close else self._parse(broken.close)

    def _failed(self, error: Exception) -> None:
        self._journal.write(Action.INTERNAL_ERROR, "an event could not be handled", error=error)

    def _is_own(self, event: SecurityEvent) -> bool:
        """Whether we caused it: our login, or an action that was refused, must never ban us."""
        if event.tampered:
            return False
        if event.account == self._username:
            return any(event.address == address for address, _ in self._own)
        return (event.address, event.port) in self._own
