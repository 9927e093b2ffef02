"""The one place that joins the parts: from an event to a decision in one step of the loop, then on to enforcement."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from amiguard.allowlist import Allowlist
from amiguard.asterisk.schema import SecurityEvent
from amiguard.asterisk.weights import Signal, failure_of, row_of
from amiguard.attempts import Attempts, key_of
from amiguard.enforcement import Enforcement
from amiguard.errors import BanRefused
from amiguard.jail import Jail, Policy
from amiguard.journal import Action, Journal
from amiguard.model import Address, Ban, Evidence, Failure, Origin, Reason, Target, Timestamp
from amiguard.ports import Clock, Firewall, Notice, NoticeKind, Notifier, Position, Saved, Source, Store
from amiguard.recorder import Recorder

BITES_AFTER = 2_000
"""Milliseconds after a ban in which events of before it still arrive. One that comes later got past the kernel."""

NOTICED_FOR = 24 * 3600 * 1000
"""Milliseconds for which one NOTICE line of chan_sip shows that a log with such lines is followed."""

REMEMBER_EVERY = 1.0
"""Seconds between two looks at how far the logs were read."""


@dataclass(slots=True)
class Counters:
    """Totals since the start."""

    events: int = 0
    failures: int = 0
    injections: int = 0
    bans: int = 0
    skipped: int = 0
    """Bans that the allowlist prevented."""
    after_ban: int = 0
    """Failures of targets that were banned already."""


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
    ) -> None:
        self.counters = Counters()
        self.sources: list[Source] = []
        self._allowlist = Allowlist(allow)
        self._attempts = Attempts()
        self._jail = Jail(policy)
        self._journal = journal
        self._clock = clock
        self._started = clock()
        self._ready = False
        self._notifiers = notifiers
        self._recorder = Recorder(store, journal, clock, self._restore)
        self._enforcement = Enforcement(firewall, self._recorder, notifiers, journal, clock)
        self._reasserted: dict[Target, Timestamp] = {}
        self._noticed: Timestamp | None = None
        self._positions: dict[str, Position] = {}

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> Sequence[Position]:
        """Open the store and the firewall: what was banned is banned before the first event is taken.

        Returns up to where the logs were read.

        Raises:
            FirewallError: the kernel refuses the layout.
        """
        saved = await self._recorder.open()
        await self._enforcement.start(list(self._allowlist), self._running(saved))
        self._ready = True
        self._journal.write(
            Action.READY, "the firewall is in place", bans=len(self._enforcement.active), allowed=len(self._allowlist)
        )
        return saved.positions

    async def run(self) -> None:
        """Enforce decisions and record them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._enforcement.run())
            tasks.create_task(self._recorder.run())
            tasks.create_task(self._remember_positions())

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

    # -- events -------------------------------------------------------------------------------------------------------

    def observe(self, event: SecurityEvent, source: str, at: Timestamp | None = None) -> None:
        """Judge one security event that happened at `at` (None = now).

        `source` is the witness: `ami`, `log` (NOTICE lines) or `security-log` (SECURITY lines)."""
        self.counters.events += 1
        now = self._clock()
        if at is None:
            at = now
        elif now - at > self._jail.policy.findtime:
            return
        if event.service == "SIP" and not self._tells_the_address(event, source, now):
            return
        row = row_of(event)
        signal = row.signal
        if signal is Signal.NOTHING:
            return
        if signal is Signal.CHALLENGE:
            failure = self._attempts.challenged(key_of(event.service, event.address, event.port, event.session), source)
        elif self._enforcement.holds(event.address):
            self._failed_while_banned(event.address)
            return
        elif signal is Signal.GUESS:
            failure = self._attempts.guess(failure_of(event, row, at, source))
        else:
            failure = self._attempts.probe(failure_of(event, row, at, source))
        if failure is not None:
            self._count(failure)

    def _tells_the_address(self, event: SecurityEvent, source: str, now: Timestamp) -> bool:
        """Tell whether this witness knows who a user of chan_sip is.

        The sender chooses the address that chan_sip's events name, in AMI and in SECURITY lines; its NOTICE lines name
        the true one. So the others are not believed while NOTICE lines are read."""
        if source == "log":
            self._noticed = now
            return True
        return event.tampered or self._noticed is None or now - self._noticed > NOTICED_FOR

    def _count(self, failure: Failure) -> None:
        self.counters.failures += 1
        ban = self._jail.observe(failure)
        count = ban.failures if ban is not None else self._jail.failures(failure.address)
        if failure.reason is Reason.INJECTION:
            self.counters.injections += 1
            message = "header lines were smuggled into an event"
            self._journal.write(Action.INJECTION, message, failure=failure, failures=count)
        else:
            self._journal.write(Action.FAILURE, failure=failure, failures=count)
        if ban is None:
            return
        if self._allowlist.covers(ban.target):
            self.counters.skipped += 1
            self._journal.write(Action.BAN_SKIPPED, f"{ban.target} is in the allowlist", ban=ban)
            return
        self.counters.bans += 1
        self._enforcement.submit(ban._replace(earlier=self._enforcement.history.get(ban.target, 0)))

    def _failed_while_banned(self, target: Target) -> None:
        """Put a ban in once more that does not bite: somebody may have emptied the set."""
        self.counters.after_ban += 1
        ban = self._enforcement.active.get(target)
        if ban is None:
            return
        now = self._clock()
        if now - self._reasserted.get(target, ban.since) > BITES_AFTER:
            if len(self._reasserted) > len(self._enforcement.active):
                self._reasserted.clear()
            self._reasserted[target] = now
            self._enforcement.submit(ban)

    # -- the administrator --------------------------------------------------------------------------------------------

    @property
    def default_bantime(self) -> int | None:
        """How long a manual ban lasts when nobody says, in milliseconds; None = permanent."""
        return self._jail.policy.bantime

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
        self._jail.forget(Address(target))
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
            "jail": {"tracked": len(self._jail), "evicted": self._jail.evicted},
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

    async def _remember_positions(self) -> None:
        while True:
            await asyncio.sleep(REMEMBER_EVERY)
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

    def _restore(self, saved: Saved) -> None:
        self._enforcement.restore(self._running(saved))

    def _running(self, saved: Saved) -> Saved:
        """Leave out what has been allowed since it was banned."""
        return dataclasses.replace(saved, bans=[ban for ban in saved.bans if not self._allowlist.covers(ban.target)])
