"""Takes up the bans that only the kernel knows: those that kill -9 caught between its acknowledgement and the database,
and those that the database refused to the end. Nobody remembers what they are for."""

from __future__ import annotations

import asyncio

from amiguard.allowlist import Allowlist
from amiguard.enforcement import MAX_BANS, Enforcement
from amiguard.errors import FirewallError
from amiguard.journal import Action, Journal
from amiguard.model import Ban, Origin, Reason, Target
from amiguard.ports import Clock
from amiguard.recorder import Recorder
from amiguard.stepping import in_steps

STEP = 1_000
"""Bans recorded in one step of the loop."""

LEAST = 1_000
"""Milliseconds that a ban must have left: one that ends sooner may be over by now, and is the kernel's to end."""


class Adoption:
    """Reads the kernel's sets once, after the start and behind the bans' back."""

    def __init__(
        self, enforcement: Enforcement, allowlist: Allowlist, recorder: Recorder, journal: Journal, clock: Clock
    ) -> None:
        self.done = asyncio.Event()
        """Set once the kernel was read, or could not be: from then on a ban that nobody here knows is none."""
        self._enforcement = enforcement
        self._allowlist = allowlist
        self._recorder = recorder
        self._journal = journal
        self._clock = clock
        self._found: list[Ban] = []
        self._allowed: list[Target] = []
        self._left_out = 0

    async def run(self) -> None:
        """Take up what is found, and have the store remember it; then return.

        The store is told once it is open: only then is it known what it does not remember."""
        try:
            await self._read()
        finally:
            self.done.set()
        await self._recorder.opened.wait()
        async for ban in in_steps(self._found, STEP):
            if self._enforcement.active.get(ban.target) is ban:
                self._recorder.record(ban)
        self._found.clear()

    async def _read(self) -> None:
        ledger = self._enforcement.ledger
        ledger.lifted = set()
        try:
            await self._enforcement.firewall.recall(self._take)
            await self._enforcement.unban(self._allowed, Origin.LOCAL)
        except FirewallError as error:
            text = "bans that only the kernel knows could not be taken up; they go on until their end"
            self._journal.write(Action.FIREWALL_FAILED, text, error=error)
        finally:
            ledger.lifted = None
        if self._found:
            text = "bans that only the kernel knew of, for amiguard was killed before it could remember them, are known"
            self._journal.write(Action.BANS_ADOPTED, text, bans=len(self._found))
        if self._left_out:
            self._journal.write(Action.OVERLOAD, "the kernel holds too many bans to know all", left_out=self._left_out)

    def _take(self, target: Target, left: int | None, absolute: bool) -> None:
        bans, now = self._enforcement, self._clock()
        if bans.holds(target) or bans.ledger.was_lifted(target) or (left is not None and left < LEAST):
            return
        if self._allowlist.holds(target):
            self._allowed.append(target)
        elif len(bans.active) >= MAX_BANS:
            self._left_out += 1
        else:
            until = None if left is None else now + left
            earlier = bans.history.earlier(target)
            ban = Ban(target, now, until, Reason.KERNEL, Origin.KERNEL, earlier=earlier, absolute=absolute)
            bans.recall(ban)
            self._found.append(ban)
