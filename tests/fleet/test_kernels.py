"""Nodes that share their bans, each with a kernel of its own."""

from __future__ import annotations

import time

import pytest

from amiguard.model import Target
from tests.lab.fleet import kernels
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, attack

pytestmark = [pytest.mark.redis, pytest.mark.netns]

NODES = 6

MOST = 0.06
"""Seconds of the processor for one ban on all nodes; some 10 ms without anybody beside."""


async def test_a_ban_an_unban_and_an_allow_are_in_the_kernels_of_all_nodes(redis: Redis) -> None:
    async with kernels(redis.url, NODES) as members:
        attack(members[0].guard)
        await members[1].guard.administration.ban(Target("2001:db8::/64"), None, "")
        await until(lambda: all(one.bans(ATTACKER) and one.bans("2001:db8::/64") for one in members))
        for one in members:
            assert ATTACKER in one.listed()
            assert "2001:db8::" in one.listed()

        await members[2].guard.administration.unban(ATTACKER)
        await members[3].guard.administration.allow(Target("198.51.100.0/24"), "")
        await until(lambda: not any(one.bans(ATTACKER) for one in members))
        await until(lambda: all("198.51.100.0/24" in one.listed() for one in members))
        assert not any(ATTACKER in one.listed() for one in members)


async def test_a_ban_is_in_the_kernels_of_all_others_before_the_attacker_has_tried_again(redis: Redis) -> None:
    async with kernels(redis.url, NODES) as members:
        taken = []
        for number in range(20):
            address, began = f"203.0.113.{number}", time.process_time()
            attack(members[number % NODES].guard, address)
            await until(lambda address=address: all(one.bans(address) for one in members))  # type: ignore[misc]
            taken.append(time.process_time() - began)
        assert sorted(taken)[len(taken) // 2] < MOST
