"""A guard over the real kernel: its bans come from a store that remembers them, its log is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from amiguard.firewalls.nftables import Nftables
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.model import Ban, Target
from amiguard.policy import Policy
from amiguard.ports import Firewall, Saved
from tests.lab.journal import Line, RecordingJournal
from tests.lab.waiting import until
from tests.lab.world import RecordingStore

F = TypeVar("F", bound=Firewall)


def now() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass
class Protected(Generic[F]):
    firewall: F
    store: RecordingStore
    journal: RecordingJournal
    guard: Guard

    def healed(self) -> list[Line]:
        return self.journal.of(Action.FIREWALL_HEALED)

    async def healed_once_more(self, than: int) -> Line:
        await until(lambda: len(self.healed()) > than, what="the firewall is healed")
        return self.healed()[than]


@asynccontextmanager
async def guarding(firewall: F, *bans: Ban, allow: Sequence[Target] = ()) -> AsyncIterator[Protected[F]]:
    """Run a guard that was told of `bans` by its store."""
    used, store, journal = firewall, RecordingStore(Saved(bans)), RecordingJournal()
    policy = Policy(maxretry=5, findtime=600_000, bantime=3_600_000, unproven_bantime=60_000)
    guard = Guard(policy, allow, firewall=used, store=store, notifiers=[], journal=journal, clock=now)
    await guard.start()
    running = asyncio.create_task(guard.run())
    try:
        yield Protected(used, store, journal, guard)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await guard.close()
        await used.close()


def protecting(
    *bans: Ban, firewall: Nftables | None = None, allow: Sequence[Target] = ()
) -> AbstractAsyncContextManager[Protected[Nftables]]:
    """The same with nftables."""
    return guarding(firewall or Nftables(), *bans, allow=allow)
