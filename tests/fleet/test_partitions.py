"""Redis at the other end of a cable: killed, cut off, slow, full, emptied. Each node bans, and loses nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from amiguard.model import Target
from tests.lab.fleet import Member, fleet, member
from tests.lab.netns import NetworkNamespace, veth
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import World, attack

pytestmark = [pytest.mark.redis, pytest.mark.netns]

SERVER, NODES = "10.77.0.2", "10.77.0.1"
CONVERGED = 5.0
"""Seconds after which all agree again."""

DROP = "add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }"


class Cable(NamedTuple):
    """Nodes at one end, where the test itself runs, and Redis at the other."""

    redis: Redis
    far: NetworkNamespace
    device: str
    faults: list[asyncio.Task[None]]


@pytest.fixture
async def cable(tmp_path: Path) -> AsyncIterator[Cable]:
    with NetworkNamespace("nodes") as near, NetworkNamespace("redis") as far:
        _, device = veth(near, far, [f"{NODES}/24"], [f"{SERVER}/24"])
        redis = Redis(tmp_path, far, SERVER)
        try:
            await redis.start()
            with near.entered():
                yield Cable(redis, far, device, [])
        finally:
            await redis.end()


async def _kill(cable: Cable) -> None:
    await cable.redis.end(signal.SIGKILL)


async def _start(cable: Cable) -> None:
    await cable.redis.start()


async def _drop(cable: Cable) -> None:
    cable.far.run(["nft", DROP])


async def _let_through(cable: Cable) -> None:
    cable.far.run(["nft", "delete table inet cut"])


async def _unplug(cable: Cable) -> None:
    cable.far.run(["ip", "link", "set", cable.device, "down"])


async def _plug_in(cable: Cable) -> None:
    cable.far.run(["ip", "link", "set", cable.device, "up"])


async def _pause(cable: Cable) -> None:
    cable.redis.do("CLIENT", "PAUSE", 8_000)


async def _unpause(cable: Cable) -> None:
    await asyncio.to_thread(cable.redis.do, "PING")


async def _stop(cable: Cable) -> None:
    cable.redis.stall()


async def _go_on(cable: Cable) -> None:
    cable.redis.go_on()


async def _slow_down(cable: Cable) -> None:
    cable.faults.append(asyncio.create_task(_hesitate(cable.redis)))


async def _hesitate(redis: Redis) -> None:
    """Stand still for most of the time, as a server with too much to do."""
    try:
        while True:
            redis.stall()
            await asyncio.sleep(0.9)
            redis.go_on()
            await asyncio.sleep(0.02)
    finally:
        redis.go_on()


async def _speed_up(cable: Cable) -> None:
    [fault] = cable.faults
    fault.cancel()
    await asyncio.wait({fault})


async def _fill(cable: Cable) -> None:
    cable.redis.do("CONFIG", "SET", "maxmemory", 1)


async def _make_room(cable: Cable) -> None:
    cable.redis.do("CONFIG", "SET", "maxmemory", 0)


async def _empty(cable: Cable) -> None:
    cable.redis.do("FLUSHALL")


async def _nothing(_: Cable) -> None:
    pass


Step = Callable[[Cable], Awaitable[None]]
FAULTS: dict[str, tuple[Step, Step]] = {
    "killed": (_kill, _start),
    "cut off": (_drop, _let_through),
    "unplugged": (_unplug, _plug_in),
    "paused": (_pause, _unpause),
    "stopped": (_stop, _go_on),
    "slow": (_slow_down, _speed_up),
    "full": (_fill, _make_room),
    "emptied": (_empty, _nothing),
}
NOTICED = {"killed", "cut off", "unplugged", "paused", "stopped", "full"}
"""What a node can't share through, and says so."""


def dropping(members: list[Member], *targets: str) -> bool:
    return all(one.drops(*targets) for one in members)


@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_becomes_of_redis_each_node_bans_and_all_agree_within_five_seconds_of_its_return(
    cable: Cable, fault: str
) -> None:
    begin, end = FAULTS[fault]
    async with fleet(cable.redis.url, 3) as members:
        before = [Target(f"192.0.2.{number}") for number in range(1, 7)]
        for number, target in enumerate(before):
            attack(members[number % 3].guard, target)
        await members[0].guard.administration.allow(Target("198.51.100.0/24"), "")
        await until(lambda: dropping(members, *before), what="all share")
        await until(lambda: all("198.51.100.0/24" in one.world.firewall.allowed for one in members))

        await begin(cable)
        for one in members:
            one.world.now += 20_000
        during = [Target(f"203.0.113.{number}") for number in range(1, 10)]
        for number, target in enumerate(during):
            one = members[number % 3]
            attack(one.guard, target)
            await until(partial(one.drops, target), 5, f"{target} is banned while Redis is {fault}")
        await members[1].guard.administration.unban(before[0])
        assert not members[1].drops(before[0])
        if fault in NOTICED:
            await until(lambda: not any(one.up for one in members), 10, "all say that they go on alone")
            for one in members:
                attack(one.guard, "192.0.2.99")
            await until(lambda: dropping(members, "192.0.2.99"), 5, "each bans although it is alone")

        await end(cable)
        kept = [*before[1:], *during]
        await until(lambda: dropping(members, *kept), CONVERGED, "all know all bans")
        await until(lambda: not any(one.drops(before[0]) for one in members), CONVERGED, "all know the unban")
        await until(lambda: all(one.up for one in members), CONVERGED)
        async with member(cable.redis.url, "new", World(now=9_000_000)) as new:
            await until(lambda: new.drops(*kept), CONVERGED, "who comes now is told everything")
            await until(lambda: "198.51.100.0/24" in new.world.firewall.allowed, CONVERGED)
            assert not new.drops(before[0])
