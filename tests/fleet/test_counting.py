"""Failures that all nodes count together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amiguard.journal import Action
from amiguard.model import Address, Origin, Target
from tests.lab.fleet import fleet, member, settings
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, attack, guess

pytestmark = pytest.mark.redis

KEY = f"{{amiguard}}:count:{ATTACKER}"


async def test_four_tries_at_each_of_five_servers_are_a_ban_on_all_of_them(redis: Redis) -> None:
    async with fleet(redis.url, 5) as members:
        for one in members:
            attack(one.guard, times=4)
        await until(lambda: all(one.drops(ATTACKER) for one in members))

        bans = [one.guard.administration.find(ATTACKER) for one in members]
        assert sum(ban is not None and ban.origin is Origin.LOCAL for ban in bans) >= 1
        assert all(ban is not None and ban.failures >= 5 and ban.accounts == ("100",) for ban in bans)
        assert all(ban is not None and not ban.absolute for ban in bans), "only datagrams claim the address"


async def test_one_try_at_each_of_five_servers_is_enough_and_four_are_not(redis: Redis) -> None:
    async with fleet(redis.url, 5) as members:
        for one in members[:4]:
            attack(one.guard, times=1)
        await until(lambda: redis.do("ZCARD", KEY) == 4)
        assert not any(one.drops(ATTACKER) for one in members)
        attack(members[4].guard, times=1)
        await until(lambda: all(one.drops(ATTACKER) for one in members))


async def test_failures_that_are_too_old_do_not_count(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        attack(first.guard, times=4)
        await until(lambda: redis.do("ZCARD", KEY) == 4)
        for at, name in enumerate(redis.do("ZRANGE", KEY, 0, -1)):
            redis.do("ZADD", KEY, at, name)
        attack(second.guard, times=4)
        await until(lambda: redis.do("ZCARD", KEY) == 4 and second.node.status()["counted"] == 4)
        assert not first.drops(ATTACKER)
        assert 0 < redis.do("PTTL", KEY) <= second.world.policy.findtime


async def test_nobody_who_is_allowed_or_known_is_counted(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        first.guard.presence.tell_trunk("carrier", [Address(Target("203.0.113.5"))])
        for address in ("127.0.0.1", "203.0.113.5"):
            attack(first.guard, address, times=4)
        attack(first.guard, times=1)
        await until(lambda: redis.do("KEYS", "*:count:*") == [KEY.encode()])


async def test_an_unban_lets_an_address_start_anew_everywhere(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        attack(first.guard, times=4)
        await until(lambda: redis.do("ZCARD", KEY) == 4)
        await second.guard.administration.unban(ATTACKER)
        await until(lambda: redis.do("EXISTS", KEY) == 0)


async def test_what_was_counted_while_redis_was_away_is_counted_afterwards(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        await redis.end()
        attack(first.guard, times=4)
        attack(second.guard, times=4)
        await redis.start()
        await until(lambda: first.drops(ATTACKER) and second.drops(ATTACKER), 5)


async def test_a_full_redis_counts_once_it_has_room_and_the_node_goes_on(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        redis.do("CONFIG", "SET", "maxmemory", 1)
        attack(first.guard, times=4)
        await until(lambda: first.logged(Action.FLEET_LOST) == 1)
        redis.do("CONFIG", "SET", "maxmemory", 0)
        await until(lambda: redis.do("ZCARD", KEY) == 4)
        first.guard.observe(guess(), "ami")
        await until(lambda: first.drops(ATTACKER))


async def test_a_node_that_does_not_count_together_still_shares_its_bans(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first], member(redis.url, "quiet") as quiet:
        await until(lambda: quiet.up)
        quiet.node._settings = replace(settings(redis.url, "quiet"), count=False)
        attack(quiet.guard, times=4)
        attack(quiet.guard, times=1)
        await until(lambda: first.drops(ATTACKER))
        assert redis.do("EXISTS", KEY) == 0
        assert quiet.node.status()["counted"] == 0
