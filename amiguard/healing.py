"""Undoes what somebody else does to amiguard's part of the kernel, as soon as the kernel tells of it."""

from __future__ import annotations

import asyncio
from collections import deque

from amiguard.enforcement import Enforcement
from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.ports import Clock, Firewall, Interference
from amiguard.retry import Retry

AT_ONCE = 20
"""Repairs within `QUARREL` that are made at once; then each waits, for another program answers with its own."""

QUARREL = 10_000
"""Milliseconds."""

BREATH = 1.0
"""Seconds between two repairs in a quarrel."""

RETRY = (0.05, 1.0)
"""Seconds between tries while the kernel refuses: first and longest, doubled each time, with jitter."""


class Healing:
    """Watches the firewall and has the bans put back."""

    def __init__(self, enforcement: Enforcement, journal: Journal, clock: Clock) -> None:
        self._enforcement = enforcement
        self._journal = journal
        self._clock = clock
        self._repairs: deque[int] = deque(maxlen=AT_ONCE)

    async def run(self) -> None:
        """Watch and repair until cancelled."""
        while True:
            firewall = self._enforcement.firewall
            try:
                seen = await firewall.watch()
            except FirewallError as error:
                seen = Interference(f"the kernel could not be watched ({error})")
            await self._undo(seen, firewall)
            self._repairs.append(self._clock())
            if len(self._repairs) == AT_ONCE and self._repairs[-1] - self._repairs[0] < QUARREL:
                await asyncio.sleep(BREATH)

    async def _undo(self, seen: Interference, firewall: Firewall) -> None:
        retry, told = Retry(*RETRY), False
        while not await self._enforcement.undo(seen, firewall):
            if not told:
                why = self._enforcement.failing
                self._journal.write(Action.FIREWALL_FAILED, f"{seen.what}, and can't be put back yet: {why}")
                told = True
            await asyncio.sleep(retry.next())
