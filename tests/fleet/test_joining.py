"""A reload that names another fleet, or none."""

from __future__ import annotations

import pytest

from amiguard.fleet.node import Node
from tests.lab.fleet import fleet, member, settings
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, attack

pytestmark = pytest.mark.redis

NOWHERE = "redis://127.0.0.1:1"


async def test_what_one_fleet_was_not_told_the_next_one_hears(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [other], member(NOWHERE, "alone") as moved:
        attack(moved.guard)
        await until(lambda: len(moved.node.untold()) == 1, what="a ban that nobody takes")
        await moved.guard.join(Node(settings(redis.url, "joined"), moved.world.journal, lambda: moved.world.now))
        await until(lambda: other.drops(ATTACKER))
        ban = other.guard.administration.find(ATTACKER)
        assert ban is not None
        assert ban.node == "joined"


async def test_a_node_that_leaves_its_fleet_tells_nothing_and_hears_nothing_and_can_come_back(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [other, leaving]:
        await leaving.guard.join(None)
        assert leaving.guard.administration.status()["fleet"] is None
        attack(leaving.guard)
        await until(lambda: leaving.drops(ATTACKER))
        assert redis.do("XLEN", "{amiguard}:changes") == 0
        await leaving.guard.join(Node(settings(redis.url, "back"), leaving.world.journal, lambda: leaving.world.now))
        attack(other.guard, address="192.0.2.200")
        await until(lambda: leaving.drops("192.0.2.200"))
