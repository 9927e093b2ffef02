"""Carries decisions out: the kernel first, and only after its acknowledgement the log, the database and the people.

A decided ban is put into the kernel in the step in which it was decided, and is `active` from the acknowledgement on.
Where that can't be it waits in `waiting`, and those who wait go in batches. What the kernel refuses stays waiting and
is tried again; it is never reported as done."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from errno import ENFILE, ENOMEM, ENOSPC

from amiguard.backlog import BATCH, Backlog
from amiguard.errors import FirewallError
from amiguard.histogram import Histogram
from amiguard.interruption import Interruption
from amiguard.journal import Action, Journal
from amiguard.ledger import Ledger
from amiguard.model import Ban, Drops, Origin, Target
from amiguard.placement import Placement
from amiguard.ports import Clock, Firewall, Interference, Notifier, Saved
from amiguard.recorder import Recorder
from amiguard.retry import Retry

FULL = {ENOMEM, ENFILE, ENOSPC}
"""The kernel has no room: to lay everything out anew would not help, and what is in force stays so."""

MAX_BANS = 1_000_000
"""Bans at once. Beyond it the one that ends soonest makes room: memory must not grow with forged sources."""

RETRY = (0.05, 5.0)
"""Seconds between tries while the kernel refuses: first and longest, doubled each time, with jitter."""

IDLE = 3600.0
"""Seconds after which the loop looks at its clock, whatever happens."""


class Enforcement:
    """The bans: decided, active and ended."""

    def __init__(
        self, firewall: Firewall, recorder: Recorder, notifiers: Sequence[Notifier], journal: Journal, clock: Clock
    ) -> None:
        self._backlog = Backlog()
        self.waiting = self._backlog.waiting
        self.ledger = Ledger(recorder, notifiers, journal, clock)
        self.active = self.ledger.active
        self.history = self.ledger.history
        self.interruption = Interruption(self._interrupt, journal)
        self.latency = Histogram()
        """How long the kernel took for each transaction that it took."""
        self.placement = Placement(firewall, journal, clock)
        self._journal = journal
        self._clock = clock
        self._ends = self.ledger.ends
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        """Held from what the kernel is asked until it is booked: or a ban that is lifted just then stays in the kernel,
        and nobody knows of it."""

    @property
    def firewall(self) -> Firewall:
        """What enforces the bans; `relocate` changes it."""
        return self.placement.firewall

    @property
    def failing(self) -> str:
        """Why the kernel refuses bans now; empty while all is well."""
        return self.placement.failing

    @property
    def dropped(self) -> Drops:
        """What the kernel has dropped in all, as `count` last heard of it."""
        return self.ledger.dropped

    def holds(self, target: Target) -> bool:
        """Whether this very target is banned, or about to be."""
        return target in self.active or target in self.waiting

    def submit(self, ban: Ban) -> None:
        """Take a decided ban. The kernel gets it before this returns, unless others wait for it or it refuses."""
        if not self._enforced_at_once(ban):
            self._backlog.add(ban)
        self._wake.set()

    async def start(self, allow: Sequence[Target], saved: Saved) -> None:
        """Lay out the firewall with what is allowed and every ban that still runs.

        Raises:
            FirewallError: the kernel refuses even the layout; nothing is protected.
        """
        self.placement.allowed = allow
        await self.placement.lay_out(saved.bans)
        self.ledger.adopt(saved)

    async def relocate(self, firewall: Firewall) -> None:
        """Put every ban into `firewall` from now on. What both drop stays dropped throughout.

        Raises:
            FirewallError: the kernel refused; all stays as it was.
        """
        async with self._one_at_a_time:
            await self.placement.relocate(firewall, self._decided())

    def restore(self, saved: Saved) -> None:
        """Take up bans that the store could tell only late; those of today win, but for what nobody else remembers."""
        bans = [ban for ban in saved.bans if not self.holds(ban.target) or self._is_nameless(ban.target)]
        self.ledger.adopt(dataclasses.replace(saved, bans=bans))
        for ban in bans:
            self._backlog.add(ban)
        self._wake.set()

    def recall(self, ban: Ban) -> None:
        """Take up a ban that is in the kernel already, and that nobody else remembers."""
        self.ledger.recall(ban)
        self._wake.set()

    async def run(self) -> None:
        """Put what waits into the kernel and see bans off that end, until cancelled."""
        retry = Retry(*RETRY)
        while True:
            self._wake.clear()
            self._expire()
            if not self.waiting:
                await self._sleep(self._until_next_end())
            elif await self.flush():
                retry.reset()
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(retry.next())

    async def flush(self) -> bool:
        """Put one batch of what waits into the kernel; tell whether the kernel took it."""
        async with self._one_at_a_time:
            batch = self._backlog.batch(self._clock())
            if not await self._enforce(batch):
                return False
            for ban in batch:
                if self._backlog.done(ban):
                    self._acknowledged(ban)
            return True

    async def allow(self, targets: Sequence[Target]) -> None:
        """Have the kernel never drop these, and none but these; also when the firewall is laid out anew.

        Raises:
            FirewallError: the kernel refused.
        """
        async with self._one_at_a_time:
            self.placement.allowed = targets
            await self.placement.insist(lambda: self.firewall.allow(targets), self._decided)

    async def ban(self, ban: Ban) -> Ban:
        """Ban at once, for an administrator; return after the kernel's acknowledgement.

        Raises:
            FirewallError: the kernel refused.
        """
        async with self._one_at_a_time:
            await self.placement.insist(lambda: self.firewall.ban([ban], self._clock()), self._decided)
            self.waiting.pop(ban.target, None)
            return self._acknowledged(ban)

    async def unban(self, targets: Sequence[Target], origin: Origin, **who: object) -> list[Ban]:
        """Lift bans; return those that there were. Of many, some at a time: no event and no new ban
        waits for it. The log lines tell `who` wanted it.

        Raises:
            FirewallError: the kernel refused; those that it took before are lifted.
        """
        lifted = []
        for start in range(0, len(targets), BATCH):
            lifted += await self._unban(targets[start : start + BATCH], origin, **who)
            await asyncio.sleep(0)
        return lifted

    async def count(self) -> None:
        """Ask the kernel what it has dropped in all; what it does not tell stays as it was."""
        with suppress(FirewallError):
            self.ledger.dropped = await self.firewall.total_drops()

    async def undo(self, seen: Interference, firewall: Firewall) -> bool:
        """Put back what somebody else took out of `firewall`; tell whether the kernel took it."""
        async with self._one_at_a_time:
            if firewall is not self.firewall:
                return True
            if seen.targets is not None:
                hurt = [self.active[target] for target in seen.targets if target in self.active]
                if not hurt:
                    return True
                if await self.placement.repair_some(hurt, seen):
                    return True
            return await self.placement.repair(self._decided(), seen)

    # ----------------------------------------------------------------------------------------------------------------

    async def _unban(self, targets: Sequence[Target], origin: Origin, **who: object) -> list[Ban]:
        async with self._one_at_a_time:
            await self.placement.insist(lambda: self.firewall.unban(targets), self._decided)
            lifted = []
            for target in targets:
                ban = self.ledger.lift(target, self.waiting.pop(target, None), origin, **who)
                if ban is not None:
                    lifted.append(ban)
        return lifted

    def _is_nameless(self, target: Target) -> bool:
        return target in self.active and self.active[target].origin is Origin.KERNEL

    def _decided(self) -> list[Ban]:
        return [*self.active.values(), *self.waiting.values()]

    def _enforced_at_once(self, ban: Ban) -> bool:
        """Put a ban into the kernel in this very step of the loop: in a crowd of other tasks, each further one would
        take milliseconds. False: it can't be, and `run` does it; what is refused it tries again, and tells."""
        now = self._clock()
        if self.waiting or self.failing or self._one_at_a_time.locked() or ban.remaining(now) == 0:
            return False
        began = time.monotonic()
        try:
            if len(self.active) >= MAX_BANS or not self.firewall.ban_at_once(ban, now):
                return False
        except FirewallError:
            return False
        self.latency.observe(time.monotonic() - began)
        self._acknowledged(ban)
        return True

    async def _enforce(self, batch: Sequence[Ban]) -> bool:
        try:
            await self._make_room(len(batch))
            began = time.monotonic()
            await self.firewall.ban(batch, self._clock())
            self.latency.observe(time.monotonic() - began)
        except FirewallError as error:
            self._journal.write(
                Action.FIREWALL_FAILED,
                "the kernel refused bans; they are tried again",
                error=error,
                waiting=len(self.waiting),
            )
            self.placement.failing = str(error)
            if error.errno in FULL:
                self._backlog.try_fewer(len(batch))
                return False
            return await self.placement.repair(self._decided())
        self._backlog.try_all()
        self.placement.failing = ""
        return True

    async def _make_room(self, count: int) -> None:
        surplus = len(self.active) + count - MAX_BANS
        if surplus <= 0:
            return
        leaving = self._ends.take(surplus)
        try:
            await self.firewall.unban([ban.target for ban in leaving])
        except FirewallError:
            self._ends.extend(leaving)
            raise
        for ban in leaving:
            self.ledger.end(ban)
        self._journal.write(Action.OVERLOAD, "too many bans: those that end soonest made room", left_out=len(leaving))

    def _acknowledged(self, ban: Ban) -> Ban:
        if not ban.absolute:
            self.interruption.submit(ban.target)
        return self.ledger.begin(ban, enforced=self.firewall.enforces)

    async def _interrupt(self, targets: Collection[Target]) -> None:
        await self.firewall.interrupt(targets)

    def _expire(self) -> None:
        for ban in self._ends.take(BATCH, until=self._clock()):
            self.ledger.end(ban)

    def _until_next_end(self) -> float:
        if self._ends.next is None:
            return IDLE
        return min(IDLE, max(0.0, (self._ends.next - self._clock()) / 1000))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
