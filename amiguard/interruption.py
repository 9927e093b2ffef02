"""Ends, behind the bans' back, the conversations that banned ones had this server begin.

The kernel's table of connections is read for it, which may be large: so all who wait are done by one reading, and it
takes a small part of the time, however fast bans come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.model import Target

REST = 4
"""For how many times as long as a reading took nothing is read: at most a fifth of the time is spent on it."""

CAPACITY = 100_000
"""Targets that wait at once. Who is left out and goes on is taken once more (`undeterred.py`)."""


class Interruption:
    """Those whose conversations are to be ended. `interrupt` ends them, and may raise FirewallError."""

    def __init__(self, interrupt: Callable[[Collection[Target]], Awaitable[None]], journal: Journal) -> None:
        self.failing = ""
        """Why the kernel refused the last time; empty while all is well."""
        self._interrupt = interrupt
        self._journal = journal
        self._waiting: dict[Target, None] = {}
        self._wake = asyncio.Event()

    def submit(self, target: Target) -> None:
        """Take one whose ban the kernel has acknowledged."""
        if len(self._waiting) < CAPACITY:
            self._waiting[target] = None
            self._wake.set()

    async def run(self) -> None:
        """End conversations until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            targets, self._waiting = self._waiting, {}
            began = loop.time()
            await self._end(targets)
            await asyncio.sleep((loop.time() - began) * REST)

    async def _end(self, targets: Collection[Target]) -> None:
        try:
            await self._interrupt(targets)
        except FirewallError as error:
            if str(error) != self.failing:  # once, and not for each ban
                message = "conversations with banned addresses can't be ended; who goes on in one is cut off absolutely"
                self._journal.write(Action.FIREWALL_FAILED, message, error=error)
            self.failing = str(error)
        else:
            self.failing = ""
