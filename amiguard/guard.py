"""The one place that joins the parts: what the sources tell, who is banned, and what the administrator asks."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from amiguard.allowlist import Allowlist
from amiguard.enforcement import Enforcement
from amiguard.errors import BanRefused, FirewallError
from amiguard.jail import Policy
from amiguard.journal import Action, Journal
from amiguard.judge import Counters, Judge
from amiguard.model import Address, Ban, Evidence, Origin, Reason, Target
from amiguard.ports import Clock, Firewall, Notice, NoticeKind, Notifier, Position, Saved, Source, Store
from amiguard.recorder import Recorder

STEP = 1_000
"""Bans looked at in one step of the loop."""

TICK = 1.0
"""Seconds between two looks at what only time brings about."""


class Guard:
    """Judges what the sources tell, and answers to the administrator.

    `observe` is called by the sources, everything public below it by the control interface."""

    def __init__(
        self,
        policy: Policy,
        allow: Sequence[Target],
        *,
        firewall: Firewall,
        store: Store,
        notifiers: Sequence[Notifier],
        journal: Journal,
        clock: Clock,
        log_followed: bool = False,
    ) -> None:
        self.sources: list[Source] = []
        self._allowlist = Allowlist(allow)
        self._journal = journal
        self._clock = clock
        self._started = clock()
        self._ready = False
        self._notifiers = notifiers
        self._recorder = Recorder(store, journal, clock, self._restore)
        self._enforcement = Enforcement(firewall, self._recorder, notifiers, journal, clock)
        self._judge = Judge(policy, self._allowlist, self._enforcement, journal, clock, log_followed=log_followed)
        self.observe = self._judge.observe
        """What the sources call with each event; see `Judge.observe`."""
        self._positions: dict[str, Position] = {}

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> Sequence[Position]:
        """Open the store and the firewall: what was banned is banned before the first event is taken.

        Returns up to where the logs were read.

        Raises:
            FirewallError: the kernel refuses the layout.
        """
        saved = await self._recorder.open()
        await self._enforcement.start(list(self._allowlist), saved)
        self._ready = True
        self._journal.write(
            Action.READY, "the firewall is in place", bans=len(self._enforcement.active), allowed=len(self._allowlist)
        )
        return saved.positions

    async def run(self) -> None:
        """Enforce decisions and record them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lift_what_is_allowed())
            tasks.create_task(self._enforcement.run())
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._tick())

    async def close(self) -> None:
        """Bring what is decided into the kernel and the store; the bans stay in the kernel."""
        while self._enforcement.waiting and await self._enforcement.flush():
            pass
        self._remember_position()
        await self._recorder.close()

    def notify(self, kind: NoticeKind, text: str) -> None:
        """Tell the administrator of a start or a stop."""
        for notifier in self._notifiers:
            notifier.post(Notice(kind, self._clock(), text=text))

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return self._judge.counters

    # -- the administrator --------------------------------------------------------------------------------------------

    @property
    def default_bantime(self) -> int | None:
        """How long a manual ban lasts when nobody says, in milliseconds; None = permanent."""
        return self._judge.jail.policy.bantime

    @property
    def ready(self) -> bool:
        """Whether the firewall is in place, takes bans, and at least one source is up."""
        up = any(source.status().get("up") for source in self.sources)
        return self._ready and up and not self._enforcement.failing

    def bans(self) -> Sequence[Ban]:
        """Return the running bans, in the order in which they were set."""
        return list(self._enforcement.active.values())

    def find(self, target: Target) -> Ban | None:
        """Return the running ban of this very target."""
        return self._enforcement.active.get(target)

    async def ban(self, target: Target, bantime: int | None, comment: str) -> Ban:
        """Ban for `bantime` milliseconds (None = permanent); return after the kernel's acknowledgement.

        Raises:
            BanRefused: the target is in the allowlist.
            FirewallError: the kernel refused.
        """
        if self._allowlist.covers(target):
            raise BanRefused(f"{target} is in the allowlist (AMIGUARD_IGNOREIP)")
        now = self._clock()
        until = None if bantime is None else now + bantime
        earlier = self._enforcement.history.get(target, 0)
        return await self._enforcement.ban(
            Ban(target, now, until, Reason.MANUAL, Origin.MANUAL, Evidence.CONNECTED, earlier=earlier, comment=comment)
        )

    async def unban(self, target: Target) -> Ban | None:
        """Let a target through again and forget its failures; None = it was not banned.

        Raises:
            FirewallError: the kernel refused.
        """
        lifted = await self._enforcement.unban([target], Origin.MANUAL)
        self._judge.jail.forget(Address(target))
        return lifted[0] if lifted else None

    async def unban_all(self) -> int:
        """Let everybody through again; return how many bans that were.

        Raises:
            FirewallError: the kernel refused.
        """
        targets = [*self._enforcement.active, *self._enforcement.waiting]
        return len(await self._enforcement.unban(targets, Origin.MANUAL)) if targets else 0

    def status(self) -> dict[str, object]:
        """Return how it goes, JSON-able."""
        counters = self.counters
        return {
            "ready": self.ready,
            "uptime": (self._clock() - self._started) // 1000,
            "sources": [dict(source.status()) for source in self.sources],
            "firewall": {"up": not self._enforcement.failing, "error": self._enforcement.failing},
            "store": {
                "up": not self._recorder.failing,
                "error": self._recorder.failing,
                "waiting": self._recorder.waiting,
            },
            "bans": {"active": len(self._enforcement.active), "waiting": len(self._enforcement.waiting)},
            "jail": {"tracked": len(self._judge.jail), "evicted": self._judge.jail.evicted},
            "totals": {
                "events": counters.events,
                "failures": counters.failures,
                "injections": counters.injections,
                "bans": counters.bans,
                "skipped": counters.skipped,
                "after_ban": counters.after_ban,
            },
        }

    # ----------------------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                self._judge.release()
            except Exception as error:  # noqa: BLE001 -- one event must not end the daemon
                self._journal.write(Action.INTERNAL_ERROR, "an event could not be handled", error=error)
            self._remember_position()

    def _remember_position(self) -> None:
        """Record how far the logs were read, but never past a line whose ban is not in the kernel yet."""
        if self._enforcement.waiting:
            return
        for source in self.sources:
            for position in source.positions():
                if self._positions.get(position.path) != position:
                    self._positions[position.path] = position
                    self._recorder.record(position)

    async def _lift_what_is_allowed(self) -> None:
        """Lift restored bans of those who have been allowed since. The kernel let them through from the start."""
        allowed = []
        for number, target in enumerate(list(self._enforcement.active)):
            if self._allowlist.covers(target):
                allowed.append(target)
            if number % STEP == 0:
                await asyncio.sleep(0)
        try:
            await self._enforcement.unban(allowed, Origin.LOCAL)
        except FirewallError as error:
            self._journal.write(Action.FIREWALL_FAILED, "bans of allowed addresses could not be lifted", error=error)

    def _restore(self, saved: Saved) -> None:
        """Take up what a store that opened late remembers."""
        bans = [ban for ban in saved.bans if not self._allowlist.covers(ban.target)]
        self._enforcement.restore(dataclasses.replace(saved, bans=bans))
