"""A guard whose firewall, store and clock do as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from amiguard.asterisk.schema import SecurityEvent
from amiguard.errors import FirewallError, StoreError
from amiguard.guard import Guard
from amiguard.listed import Listed
from amiguard.lists import Delta
from amiguard.model import Address, Ban, Drops, Target, Timestamp
from amiguard.nodes import Fleet
from amiguard.policy import Policy
from amiguard.ports import Change, Interference, Notice, Saved
from tests.lab.journal import RecordingJournal

POLICY = Policy(maxretry=5, findtime=600_000, bantime=3_600_000, unproven_bantime=60_000)
ATTACKER = Address(Target("192.0.2.1"))


@dataclass
class RecordingLists:
    """Remembers what lists name, and refuses while `broken`."""

    held: dict[str, Listed] = field(default_factory=dict)
    broken: bool = False

    async def replace(self, name: str, listed: Listed, now: Timestamp) -> None:
        await asyncio.sleep(0)
        self._check()
        self.held[name] = listed

    async def change(self, name: str, delta: Delta, now: Timestamp) -> None:
        await asyncio.sleep(0)
        self._check()
        held = self.held.setdefault(name, Listed())
        for width, number, end in delta.put:
            held.put(width, number, end)
        for width, number in delta.take:
            held.take(width, number)

    async def dropped(self) -> Mapping[str, Drops]:
        self._check()
        return dict.fromkeys(self.held, Drops(2, 900))

    def names(self, name: str, address: str, now: int = 0) -> bool:
        return name in self.held and bool(self.held[name].around(Address(Target(address)), now))

    def _check(self) -> None:
        if self.broken:
            raise FirewallError("the kernel says no", 1)


@dataclass
class RecordingFirewall:
    """Remembers what is dropped, and refuses while `broken`."""

    dropped: dict[Target, int | None] = field(default_factory=dict)
    allowed: list[Target] = field(default_factory=list)
    absolute: set[Target] = field(default_factory=set)
    interrupted: list[Target] = field(default_factory=list)
    broken: bool = False
    busy: bool = False
    """Whether nothing is done at once, as if other calls were always under way."""
    enforces: bool = True
    starts: int = 0
    transactions: int = 0
    place: str = "memory"
    lists: RecordingLists = field(default_factory=RecordingLists)
    disturbed: asyncio.Queue[Interference] = field(default_factory=asyncio.Queue)

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None:
        self._check()
        self.starts += 1
        self.allowed = list(allow)
        self.dropped |= {ban.target: ban.remaining(now) for ban in bans}

    async def allow(self, targets: Iterable[Target]) -> None:
        await asyncio.sleep(0)
        self._check()
        self.allowed = list(targets)

    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None:
        await asyncio.sleep(0)
        self._check()
        self.transactions += 1
        self._put(bans, now)

    def ban_at_once(self, ban: Ban, now: Timestamp) -> bool:
        self._check()
        if not self.busy:
            self.transactions += 1
            self._put([ban], now)
        return not self.busy

    async def unban(self, targets: Sequence[Target]) -> None:
        await asyncio.sleep(0)
        self._check()
        for target in targets:
            self.dropped.pop(target, None)

    async def interrupt(self, targets: Collection[Target]) -> None:
        self._check()
        self.interrupted += targets

    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        self._check()
        return {target: Drops(3, 1200) for target in targets if target in self.dropped}

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None:
        self._check()
        for target, left in list(self.dropped.items()):
            take(target, left, target in self.absolute)

    async def total_drops(self) -> Drops:
        self._check()
        return Drops(7, 2800)

    async def watch(self) -> Interference:
        return await self.disturbed.get()

    def lacks(self) -> Sequence[str]:
        return ()

    async def withdraw(self) -> None:
        self.dropped.clear()

    async def close(self) -> None:
        pass

    def _put(self, bans: Sequence[Ban], now: Timestamp) -> None:
        self.dropped |= {ban.target: ban.remaining(now) for ban in bans}
        for ban in bans:
            (self.absolute.add if ban.absolute else self.absolute.discard)(ban.target)

    def _check(self) -> None:
        if self.broken:
            raise FirewallError("the kernel says no", 1)


@dataclass
class RecordingStore:
    """Remembers changes, and refuses while `broken`."""

    saved: Saved = field(default_factory=Saved)
    changes: list[Change] = field(default_factory=list)
    broken: bool = False

    async def open(self, now: Timestamp) -> Saved:
        self._check()
        return self.saved

    async def write(self, changes: Sequence[Change]) -> None:
        self._check()
        self.changes += changes

    async def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.broken:
            raise StoreError("the disk is full")


class RecordingNotifier:
    def __init__(self) -> None:
        self.notices: list[Notice] = []

    def post(self, notice: Notice) -> None:
        self.notices.append(notice)

    async def run(self) -> None:
        pass

    def status(self) -> dict[str, object]:
        return {"name": "recording", "waiting": 0, "sent": len(self.notices), "lost": 0, "error": ""}

    async def drain(self, grace: float) -> None:
        pass


@dataclass
class World:
    firewall: RecordingFirewall = field(default_factory=RecordingFirewall)
    store: RecordingStore = field(default_factory=RecordingStore)
    journal: RecordingJournal = field(default_factory=RecordingJournal)
    notifier: RecordingNotifier = field(default_factory=RecordingNotifier)
    now: int = 1_000_000
    allow: tuple[str, ...] = ("127.0.0.0/8",)
    log_followed: bool = False
    policy: Policy = POLICY
    fleet: Fleet | None = None

    def guard(self) -> Guard:
        return Guard(
            self.policy,
            [Target(text) for text in self.allow],
            firewall=self.firewall,
            store=self.store,
            notifiers=[self.notifier],
            journal=self.journal,
            clock=lambda: self.now,
            chance=lambda most: most - 1,
            log_followed=self.log_followed,
            fleet=self.fleet,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Guard]:
        guard = self.guard()
        await guard.start()
        task = asyncio.create_task(guard.run())
        await asyncio.sleep(0)
        try:
            yield guard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await guard.close()


def guess(
    address: str = ATTACKER, *, session: str = "call", tampered: bool = False, transport: str = "UDP"
) -> SecurityEvent:
    code, target = "ChallengeResponseFailed", Address(Target(address))
    return SecurityEvent(code, "PJSIP", target, 5062, transport, "100", session, tampered=tampered)


def chan_sip(address: str, source_port: int = 5062) -> SecurityEvent:
    return SecurityEvent("InvalidPassword", "SIP", Address(Target(address)), source_port, "", "100")


def attack(guard: Guard, address: str = ATTACKER, times: int = 5) -> None:
    for _ in range(times):
        guard.observe(guess(address), "ami")
