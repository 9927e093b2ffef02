"""From bytes to the decision: all that lies between socket and firewall, in this process, with nothing behind it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from amiguard.asterisk.framing import Framer
from amiguard.firewalls.dryrun import NoLists
from amiguard.guard import Guard
from amiguard.model import Ban, Drops, Target, Timestamp
from amiguard.policy import Policy
from amiguard.ports import Change, Interference, Saved
from amiguard.settings import Settings
from amiguard.settings.policy import policy_of
from amiguard.sources.ami.intake import AmiIntake
from amiguard.sources.ami.protocol import STEP
from tests.lab.captures import BANNER
from tests.lab.journal import SilentJournal

FINDTIME = 600_000
BANTIME = 432_000_000


class NoFirewall:
    enforces = True
    place = "nowhere"
    lists = NoLists()

    async def start(self, allow: Iterable[Target], bans: Sequence[Ban], now: Timestamp) -> None: ...
    async def allow(self, targets: Iterable[Target]) -> None: ...
    async def ban(self, bans: Sequence[Ban], now: Timestamp) -> None: ...
    def ban_at_once(self, ban: Ban, now: Timestamp) -> bool:
        return False

    async def unban(self, targets: Sequence[Target]) -> None: ...
    async def interrupt(self, targets: Collection[Target]) -> None: ...
    async def drops(self, targets: Sequence[Target]) -> Mapping[Target, Drops]:
        return {}

    async def total_drops(self) -> Drops:
        return Drops(0, 0)

    async def recall(self, take: Callable[[Target, int | None, bool], None]) -> None: ...
    async def close(self) -> None: ...
    async def withdraw(self) -> None: ...

    async def watch(self) -> Interference:
        forever: asyncio.Future[Interference] = asyncio.get_running_loop().create_future()
        return await forever

    def lacks(self) -> Sequence[str]:
        return ()


class NoStore:
    async def open(self, now: Timestamp) -> Saved:
        return Saved()

    async def write(self, changes: Sequence[Change]) -> None: ...
    async def close(self) -> None: ...


class Decisions(NamedTuple):
    """What came of the bytes, and microseconds of CPU for each event."""

    events: int
    failures: int
    bans: int
    micros: float


def floor(data: bytes) -> float:
    """Return the microseconds an event that no Python program can do without: to cut the bytes, and one regex each."""
    form = re.compile(rb"(?s)Event: (\w+)\r\n.*\nRemoteAddress: ([^\r\n]+)")
    start, events = time.process_time(), 0
    for offset in range(0, len(data), STEP):
        events += sum(form.match(block) is not None for block in data[offset : offset + STEP].split(b"\r\n\r\n"))
    return (time.process_time() - start) / events * 1e6


def decide(data: bytes, maxretry: int = 5, *, rules: bool = False) -> Decisions:
    """Hand `data` on read by read, as the connection to Asterisk does; to the jail alone, or to all rules that are on
    by default."""
    policy = Policy(maxretry, FINDTIME, BANTIME, BANTIME)
    if rules:
        given = {"ami_username": "amiguard", "ami_secret": "x", "maxretry": maxretry, "slow_maxretry": 100}
        policy = policy_of(Settings.model_validate(given))

    def clock() -> Timestamp:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    guard = Guard(
        policy,
        [Target("127.0.0.0/8"), Target("::1")],
        firewall=NoFirewall(),
        store=NoStore(),
        notifiers=(),
        journal=SilentJournal(),
        clock=clock,
    )
    intake = AmiIntake("amiguard", partial(guard.observe, source="ami"), SilentJournal(), clock)
    framer = Framer()
    framer.feed(BANNER)
    start = time.process_time()
    for offset in range(0, len(data), STEP):
        intake.receive(framer.feed(data[offset : offset + STEP]), framer.idle)
    intake.end()
    spent = time.process_time() - start
    counters = guard.counters
    return Decisions(counters.events, counters.failures, counters.bans, spent / counters.events * 1e6)
