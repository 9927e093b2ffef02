"""What only the kernel remembers is known again after the start, but for what is allowed, over, or known better."""

from __future__ import annotations

import asyncio

import pytest

from amiguard import adoption
from amiguard.errors import FirewallError
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.model import Ban, Origin, Reason, Target
from amiguard.ports import Ended, Ending, Saved
from tests.lab.waiting import until
from tests.lab.world import RecordingStore, World, attack

KNOWN, STRANGER, FOREVER = Target("192.0.2.9"), Target("192.0.2.10"), Target("2001:db8:7::/64")
BAN = Ban(KNOWN, 500_000, 4_000_000, Reason.ACL, failures=5)


def nameless(target: Target, until: int | None, *, absolute: bool = False) -> Ban:
    return Ban(target, 1_000_000, until, Reason.KERNEL, Origin.KERNEL, absolute=absolute)


def world_with(*, broken: bool = False) -> World:
    world = World(store=RecordingStore(Saved(bans=[BAN]), broken=broken))
    world.firewall.dropped = {KNOWN: 3_000_000, STRANGER: 60_000, FOREVER: None}
    world.firewall.absolute = {FOREVER}
    return world


def banned(guard: Guard) -> dict[str, Ban]:
    return {ban.target: ban for ban in guard.administration.bans()}


async def test_what_only_the_kernel_knows_is_listed_recorded_told_once_and_mailed_to_nobody() -> None:
    world = world_with()
    async with world.running() as guard:
        await until(lambda: len(world.store.changes) == 2)

        found = [nameless(STRANGER, 1_060_000), nameless(FOREVER, None, absolute=True)]
        assert banned(guard) == {KNOWN: BAN} | {ban.target: ban for ban in found}
        assert world.store.changes == found
        assert world.journal.count(Action.BANS_ADOPTED) == 1
        assert world.journal.count(Action.BAN) == 0
        assert world.notifier.notices == []


async def test_it_ends_when_the_kernel_ends_it_and_counts_as_an_earlier_ban() -> None:
    world = world_with()
    async with world.running() as guard:
        await until(lambda: STRANGER in banned(guard))
        world.now = 1_060_000
        attack(guard)  # or it would sleep until then, by a clock that goes on
        await until(lambda: Ended(STRANGER, 1_060_000, Ending.EXPIRE) in world.store.changes)

        again = await guard.administration.ban(STRANGER, 60_000, "")
        assert again.earlier == 1


async def test_who_is_allowed_is_taken_out_of_the_kernel_instead() -> None:
    world = world_with()
    world.allow = ("192.0.2.10/31",)
    async with world.running() as guard:
        await until(lambda: STRANGER not in world.firewall.dropped)

        assert banned(guard).keys() == {KNOWN, FOREVER}


async def test_what_is_as_good_as_over_is_left_to_the_kernel() -> None:
    world = world_with()
    world.firewall.dropped[STRANGER] = adoption.LEAST - 1
    async with world.running() as guard:
        await until(lambda: world.journal.count(Action.BANS_ADOPTED) == 1)

        assert STRANGER not in banned(guard)


async def test_a_database_that_opens_late_knows_better_and_is_told_only_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("amiguard.recorder.RETRY", (0.01, 0.01))
    world = world_with(broken=True)
    async with world.running() as guard:
        await until(lambda: banned(guard).keys() == {KNOWN, STRANGER, FOREVER})
        assert banned(guard)[KNOWN].reason is Reason.KERNEL
        world.store.broken = False
        await until(lambda: len(world.store.changes) == 2)

        assert banned(guard)[KNOWN] == BAN
        assert {change.target for change in world.store.changes if isinstance(change, Ban)} == {STRANGER, FOREVER}


async def test_who_is_let_through_while_the_kernel_is_read_stays_so() -> None:
    world = world_with()
    told = asyncio.Event()
    recall = world.firewall.recall

    async def slow(take: object) -> None:
        stale = dict(world.firewall.dropped)
        await told.wait()
        world.firewall.dropped = stale
        await recall(take)  # type: ignore[arg-type]

    world.firewall.recall = slow  # type: ignore[method-assign]
    async with world.running() as guard:
        await asyncio.sleep(0)
        await guard.administration.unban(STRANGER)
        told.set()
        await until(lambda: FOREVER in banned(guard))

        assert STRANGER not in banned(guard)


async def test_a_kernel_that_can_not_be_read_is_told_of_and_stops_nothing() -> None:
    world = world_with()

    async def refuse(take: object) -> None:
        raise FirewallError("the kernel says no", 1)

    world.firewall.recall = refuse  # type: ignore[method-assign]
    async with world.running() as guard:
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) == 1)
        await guard.administration.ban(Target("192.0.2.77"), None, "")

        assert banned(guard).keys() == {KNOWN, "192.0.2.77"}


async def test_no_more_is_taken_up_than_may_be_banned_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "MAX_BANS", 2)
    world = world_with()
    async with world.running() as guard:
        await until(lambda: world.journal.count(Action.OVERLOAD) == 1)

        assert len(banned(guard)) == 2
