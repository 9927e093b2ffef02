"""The one place that joins the parts: what the sources tell, who is banned, and who remembers it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import randrange

from amiguard.administration import Administration
from amiguard.adoption import Adoption
from amiguard.alerting import Alerting
from amiguard.allowlist import Allowlist
from amiguard.coalescing import until_next
from amiguard.enforcement import Enforcement
from amiguard.errors import FirewallError
from amiguard.exemptions import Exemptions
from amiguard.healing import Healing
from amiguard.journal import Action, Journal
from amiguard.judge import Counters, Judge
from amiguard.listing import Listing
from amiguard.model import AllowOrigin, Origin, Target
from amiguard.nodes import Fleet
from amiguard.outages import Outages
from amiguard.policy import Policy
from amiguard.ports import Clock, Firewall, Notice, NoticeKind, Notifier, Position, Saved, Source, Store, Successor
from amiguard.presence import Presence
from amiguard.recorder import Recorder
from amiguard.rules.sentence import Chance
from amiguard.sharing import Sharing
from amiguard.stepping import in_steps
from amiguard.timeline import Timeline

STEP = 1_000
"""Bans looked at in one step of the loop."""

TICK = 1.0
"""Seconds between two looks at what only time brings about."""

CALM = 2.5
"""The same while nothing waits for one. No longer than what begins to wait meanwhile waits in any case, for that is
`chansip.PATIENCE` and up to a `TICK`."""

ROUND = 5.0
"""Seconds between two looks at what can wait: an idle daemon must cost nothing that can be measured."""


class Guard:
    """Judges what the sources tell, and has it carried out; the sources call `observe`."""

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
        chance: Chance = randrange,
        log_followed: bool = False,
        fleet: Fleet | None = None,
    ) -> None:
        self._allowlist = Allowlist(allow)
        self._journal = journal
        self._clock = clock
        self._notifiers = notifiers
        self._recorder = Recorder(store, journal, clock, self._restore)
        self._enforcement = Enforcement(firewall, self._recorder, notifiers, journal, clock)
        self._enforcement.history.keep_times = policy.repeat.recidive > 0
        self.alert = Alerting(notifiers, journal, clock)
        """Tells the administrator of what he should look at."""
        self.restored: Callable[[], None] = lambda: None
        """Is told that a store opened late, and that more names are allowed by it."""
        self.presence = Presence(self._recorder.record)
        """Where the edges tell of phones and trunks."""
        self._adoption = Adoption(self._enforcement, self._allowlist, self._recorder, journal, clock)
        self._healing = Healing(self._enforcement, journal, clock)
        self._judge = self._new_judge(policy, chance, log_followed=log_followed)
        forget = self._judge.rules.forget
        self.exemptions = Exemptions(self._allowlist, self._enforcement, forget, self._recorder, journal)
        """Where the edges tell who else is never banned."""
        self.listing = Listing(self._enforcement, self._allowlist, self.presence, journal, clock)
        """Takes what feeds tell."""
        self._timeline = Timeline(self._judge.counters, self._recorder.record)
        self._sharing = None if fleet is None else self._new_sharing(fleet)
        self._sharing_task: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup
        self.observe = self._judge.observe
        """What the sources call with each event; see `Judge.observe`."""
        self.administration = self._new_administration(fleet)
        """Answers the control interface."""
        self._positions: dict[str, Position] = {}
        self._outages = Outages()

    async def start(self) -> Sequence[Position]:
        """Open the store and the firewall: what was banned is banned before the first event is taken.

        Returns up to where the logs were read.

        Raises:
            FirewallError: the kernel refuses the layout.
        """
        saved = await self._recorder.open()
        self._adopt(saved)
        try:
            await self._enforcement.start(self._allowlist.targets(), saved)
        except FirewallError:
            await self._recorder.close()  # or the database's thread would keep the process alive
            raise
        self.administration.protecting = True
        self._journal.write(
            Action.READY,
            "the firewall is in place",
            bans=len(self._enforcement.active),
            allowed=len(self._allowlist),
            lacks=list(self._enforcement.firewall.lacks()),
        )
        return saved.positions

    async def run(self) -> None:
        """Enforce decisions and record them until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            tasks = self._tasks
            tasks.create_task(self._lift_what_is_allowed())
            tasks.create_task(self._enforcement.run())
            tasks.create_task(self._adoption.run())
            tasks.create_task(self._enforcement.interruption.run())
            tasks.create_task(self._healing.run())
            tasks.create_task(self.exemptions.run())
            tasks.create_task(self._recorder.run())
            tasks.create_task(self.listing.run())
            tasks.create_task(self._tick())
            self._start_sharing()

    async def relocate(self, firewall: Firewall) -> None:
        """Put every ban into another firewall, or into one that is laid out otherwise.

        Raises:
            FirewallError: the kernel refused; everything is as before.
        """
        await self._enforcement.relocate(firewall)

    async def join(self, fleet: Fleet | None) -> None:
        """Share bans with other nodes than before, or with none; what the earlier ones were not told yet, they hear."""
        old, task = self._sharing, self._sharing_task
        self._sharing = None if fleet is None else self._new_sharing(fleet)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        if old is not None and fleet is not None:
            for change in old.fleet.untold():
                fleet.publish(change)
        if old is not None and fleet is None:
            old.leave()
        self.administration.fleet = fleet
        self._start_sharing()

    def moving(self, store: Successor, source: Path) -> AbstractAsyncContextManager[None]:
        """Remember in another store; see `Recorder.moving`. Raises StoreError."""
        return self._recorder.moving(store, source)

    async def close(self) -> None:
        """Bring what is decided into the kernel and the store; the bans stay in the kernel."""
        while self._enforcement.waiting and await self._enforcement.flush():
            pass
        self._remember_position()
        self._timeline.note(self._clock())
        await self._recorder.close()

    async def free(self) -> None:
        """Free what the firewall holds; the last thing that is called."""
        await self._enforcement.firewall.close()

    def notify(self, kind: NoticeKind, text: str) -> None:
        """Tell the administrator of a start or a stop."""
        for notifier in self._notifiers:
            notifier.post(Notice(kind, self._clock(), text=text))

    def reconfigure(self, policy: Policy, allow: Sequence[Target], *, log_followed: bool) -> None:
        """Judge by other settings from now on; see `Judge.reconfigure` and `Exemptions.set`."""
        self.exemptions.set(AllowOrigin.SETTINGS, "", allow)
        self._judge.reconfigure(policy, log_followed=log_followed)
        self._enforcement.history.keep_times = policy.repeat.recidive > 0

    @property
    def sources(self) -> list[Source]:
        """What tells of failures; the daemon fills it once the guard has started."""
        return self.administration.sources

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return self._judge.counters

    # ----------------------------------------------------------------------------------------------------------------

    def _new_judge(self, policy: Policy, chance: Chance, *, log_followed: bool) -> Judge:
        return Judge(
            policy,
            self._allowlist,
            self._enforcement,
            journal=self._journal,
            clock=self._clock,
            alert=self.alert,
            chance=chance,
            log_followed=log_followed,
            presence=self.presence,
        )

    def _start_sharing(self) -> None:
        sharing = self._sharing
        self._sharing_task = None if sharing is None else self._tasks.create_task(self._run_sharing(sharing))

    async def _run_sharing(self, sharing: Sharing) -> None:
        """Hear the other nodes once all bans are known: one that only the kernel knows could not be lifted."""
        await self._adoption.done.wait()
        await sharing.run()

    def _new_sharing(self, fleet: Fleet) -> Sharing:
        return Sharing(
            fleet,
            self._enforcement,
            self._allowlist,
            self.exemptions,
            self._judge,
            journal=self._journal,
            clock=self._clock,
        )

    def _new_administration(self, fleet: Fleet | None) -> Administration:
        return Administration(
            judge=self._judge,
            enforcement=self._enforcement,
            allowlist=self._allowlist,
            exemptions=self.exemptions,
            presence=self.presence,
            recorder=self._recorder,
            alerting=self.alert,
            notifiers=self._notifiers,
            clock=self._clock,
            listing=self.listing,
            timeline=self._timeline,
            fleet=fleet,
        )

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        round_due = 0.0
        while True:
            now = loop.time()
            due = now + until_next(TICK if self._judge.waits else CALM, now)
            await asyncio.sleep(due - now)
            self.administration.lag.observe(max(0.0, loop.time() - due))
            try:
                more = True
                while more:
                    more = self._judge.release()
                    await asyncio.sleep(0)
            except Exception as error:  # noqa: BLE001 -- one event must not end the daemon
                self._journal.write(Action.INTERNAL_ERROR, "an event could not be handled", error=error)
            if due >= round_due:
                round_due = due + until_next(ROUND, due)
                self._remember_position()
                self._timeline.note(self._clock())
                for action, text in self._outages.look([source.status() for source in self.sources], self._clock()):
                    self.alert.post(action, text)
                await self._enforcement.count()

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
        restored = list(self._enforcement.active)
        allowed = [target async for target in in_steps(restored, STEP) if self._allowlist.holds(target)]
        try:
            await self._enforcement.unban(allowed, Origin.LOCAL)
        except FirewallError as error:
            self._journal.write(Action.FIREWALL_FAILED, "bans of allowed addresses could not be lifted", error=error)

    def _adopt(self, saved: Saved) -> None:
        """Take up what the store remembers, but for the bans; where no other nodes are, nothing that they allowed."""
        self.exemptions.adopt(saved.allowed, saved.names)
        if self._sharing is None:
            self.exemptions.forsake()
        self.presence.restore(saved.phones, self._clock())
        self._timeline.restore(saved.minutes, self._clock())

    def _restore(self, saved: Saved) -> None:
        """Take up what a store that opened late remembers."""
        self._adopt(saved)
        self.restored()
        bans = [ban for ban in saved.bans if not self._allowlist.holds(ban.target)]
        self._enforcement.restore(dataclasses.replace(saved, bans=bans))
