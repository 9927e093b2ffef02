"""A new connection takes over from an old one, and each of Asterisk's events is told once.

Asterisk tells both the same events in the same order. The login of the new connection is among them, so it is the seam:
up to it the old connection counts, from there on the new one. Bytes of one may be far ahead of the other's, so what the
old one told behind the seam is left out of the new one, however late the seam is found."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress

from amiguard.asterisk.schema import SecurityEvent
from amiguard.ports import Clock
from amiguard.sources.ami.source import AmiSource

LOGIN = 30.0
"""Seconds for which the old connection goes on until the new one hears its own login, which was proven to work."""

PATIENCE = 15.0
"""Seconds from then on until the old one is given up: it is dead, or that of another Asterisk, whose events are others.
In a flood it may lag by as much as a full socket buffer."""

LONGEST = 100_000
"""Events that are remembered of either connection meanwhile, at most."""


class Handover:
    """Puts `new`, which is to be started after this was made, in the place of `old`, which runs."""

    def __init__(self, old: AmiSource, new: AmiSource, clock: Clock) -> None:
        self._old = old
        self._new = new
        self._clock = clock
        self._seam: SecurityEvent | None = None
        self._told: deque[SecurityEvent] = deque(maxlen=LONGEST)
        self._held: deque[SecurityEvent] = deque(maxlen=LONGEST)
        self._left_out: Counter[SecurityEvent] = Counter()
        self._found = asyncio.Event()
        self._joined = asyncio.Event()
        self._before = old.intake.gate
        """That of an earlier hand-over, which may still leave out what the connection before the old one told."""
        old.intake.gate = self._from_old
        new.intake.gate = self._from_new

    async def done(self) -> None:
        """Return once the new connection tells what happens; from then on the old one is not heard any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOGIN):
                await self._found.wait()
            async with asyncio.timeout(PATIENCE):
                await self._joined.wait()
        if not self._joined.is_set():
            self._join(())

    def _from_old(self, event: SecurityEvent) -> bool:
        if self._before is not None and not self._before(event):
            return False
        self._told.append(event)
        if event == self._seam:
            self._join(())
        return True

    def _from_new(self, event: SecurityEvent) -> bool:
        if self._joined.is_set():
            return self._is_news(event)
        if self._seam is not None:
            self._held.append(event)
        elif event.name == "SuccessfulAuth" and event.service == "AMI" and event.account == self._new.username:
            self._seam = event
            self._found.set()
            if event in self._told:
                told = list(self._told)
                self._join(told[told.index(event) + 1 :])
        return False

    def _join(self, told_behind_the_seam: Iterable[SecurityEvent]) -> None:
        self._left_out.update(told_behind_the_seam)
        self._old.intake.gate = _closed
        self._joined.set()
        asyncio.get_running_loop().call_later(PATIENCE, self._open)
        while self._held:
            event = self._held.popleft()
            if self._is_news(event):
                self._new.intake.tell(event, self._clock())

    def _open(self) -> None:
        self._left_out.clear()
        if self._new.intake.gate == self._from_new:  # else it is being handed over itself
            self._new.intake.gate = None

    def _is_news(self, event: SecurityEvent) -> bool:
        if not self._left_out[event]:
            return True
        self._left_out[event] -= 1
        return False


def _closed(_: SecurityEvent) -> bool:
    return False
