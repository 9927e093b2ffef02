"""Who is never banned because an administrator of another node said so."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from amiguard.fleet.node import Node
from amiguard.fleet.settings import Allow
from amiguard.journal import Action
from amiguard.model import Address, Allowed, AllowOrigin, Target
from amiguard.quota import ALL_ALLOWED, ALLOWED
from tests.fleet.test_trust import BAN, KEY, acl
from tests.lab.fleet import Member, fleet, member, settings
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, World, attack

pytestmark = pytest.mark.redis

BRANCH = Target("198.51.100.0/24")
INSIDE = Address(Target("198.51.100.7"))
SNAPSHOT, TAKEN_BACK = "{amiguard}/allowed", "{amiguard}/disallowed"
ALLOW: dict[str, object] = {name: BAN[name] for name in ("v", "node", "instance", "age")} | {
    "kind": "allow",
    "comment": "",
}


def allows(one: Member, target: Target) -> bool:
    return target in one.world.firewall.allowed


def entry(one: Member, target: Target) -> Allowed | None:
    return one.guard.exemptions.find(target)


def said(target: object, **changed: object) -> bytes:
    return json.dumps(ALLOW | {"target": target} | changed).encode()


def hold(redis: Redis, target: str, message: bytes) -> None:
    """Write as a node would that was taken over."""
    redis.do("HSET", SNAPSHOT, target, b"1 " + message)
    redis.do("XADD", KEY, "*", "m", message)


async def test_who_is_allowed_on_one_node_is_allowed_on_all_and_each_tells_which_node_said_so(redis: Redis) -> None:
    async with fleet(redis.url, 3) as members:
        attack(members[0].guard, INSIDE)
        await until(lambda: all(one.drops(INSIDE) for one in members))
        await members[1].guard.administration.allow(BRANCH, "the branch")
        await until(lambda: all(allows(one, BRANCH) and not one.drops(INSIDE) for one in members))

        for one in (members[0], members[2]):
            assert entry(one, BRANCH) == Allowed(BRANCH, AllowOrigin.FLEET, "the branch", node="pbx1")
            assert one.world.journal.of(Action.ALLOWLIST_CHANGED)[0].fields["node"] == "pbx1"
            attack(one.guard, INSIDE, times=6)
        assert not any(one.drops(INSIDE) for one in members)
        assert redis.do("XLEN", KEY) == 2, "nobody tells it again"


async def test_a_node_that_comes_later_takes_up_who_is_allowed_and_not_who_was(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        await first.guard.administration.allow(BRANCH, "")
        await first.guard.administration.allow(ATTACKER, "")
        await first.guard.administration.disallow(ATTACKER)
        await until(lambda: first.node.status()["waiting"] == 0)
        async with member(redis.url, "new") as new:
            await until(lambda: new.up and allows(new, BRANCH))
            assert not allows(new, ATTACKER)


async def test_whoever_takes_it_back_does_so_for_all_but_for_the_administrator_who_allowed_it(redis: Redis) -> None:
    async with fleet(redis.url, 3) as [first, second, third]:
        await first.guard.administration.allow(BRANCH, "")
        await first.guard.administration.allow(ATTACKER, "")
        await until(lambda: allows(third, BRANCH) and allows(second, ATTACKER))
        await first.guard.administration.disallow(BRANCH)
        assert await second.guard.administration.disallow(ATTACKER)
        await until(lambda: not any(allows(one, BRANCH) or allows(one, ATTACKER) for one in (second, third)))
        assert allows(first, ATTACKER), "what an administrator said here stands, whoever else has a node"
        assert not allows(first, BRANCH)
        await first.guard.administration.disallow(ATTACKER)
        attack(third.guard)
        await until(lambda: first.drops(ATTACKER) and second.drops(ATTACKER))


async def test_what_is_said_while_redis_is_away_is_told_afterwards_and_a_redis_that_forgot_is_told_anew(
    redis: Redis,
) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        await first.guard.administration.allow(ATTACKER, "")
        await until(lambda: allows(second, ATTACKER))
        await redis.end()
        await first.guard.administration.allow(BRANCH, "")
        await redis.start()
        await until(lambda: allows(second, BRANCH), 5)
        await until(lambda: redis.do("HLEN", SNAPSHOT) == 2, 5)
        assert allows(second, ATTACKER)


async def test_what_was_taken_back_while_a_node_was_away_does_not_come_back_with_it(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        await first.guard.administration.allow(BRANCH, "")
        world = World()
        world.store.saved = type(world.store.saved)(
            allowed=[Allowed(ATTACKER, AllowOrigin.FLEET, node="pbx0"), Allowed(BRANCH, AllowOrigin.FLEET, node="pbx0")]
        )
        await first.guard.administration.allow(ATTACKER, "")
        await first.guard.administration.disallow(ATTACKER)
        await until(lambda: first.node.status()["waiting"] == 0)
        async with member(redis.url, "back", world) as back:
            await until(lambda: back.up and not allows(back, ATTACKER))
            assert allows(back, BRANCH)
        assert not allows(first, ATTACKER)


async def test_who_hears_or_is_off_tells_nobody_and_off_believes_nobody(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first], member(redis.url, "one") as one, member(redis.url, "two") as two:
        await until(lambda: one.up and two.up)
        await first.guard.administration.allow(BRANCH, "")
        await until(lambda: allows(one, BRANCH) and allows(two, BRANCH))
        for moved, allow in ((one, Allow.HEAR), (two, Allow.OFF)):
            told = replace(settings(redis.url, allow.value), allow=allow)
            world = moved.world
            await moved.guard.join(Node(told, world.journal, lambda world=world: world.now))  # type: ignore[misc]
        await until(lambda: not allows(two, BRANCH))
        assert allows(one, BRANCH)
        for quiet in (one, two):
            await quiet.guard.administration.allow(ATTACKER, "")
        await first.guard.administration.ban(Target("192.0.2.9"), None, "")
        await until(lambda: one.drops("192.0.2.9") and two.drops("192.0.2.9"))
        assert redis.do("HKEYS", SNAPSHOT) == [BRANCH.encode()]
        assert not allows(two, BRANCH)
        await one.guard.join(None)
        await until(lambda: not allows(one, BRANCH))


async def test_a_dry_run_tells_nobody_whom_it_allows(redis: Redis) -> None:
    world = World()
    world.firewall.enforces = False
    async with fleet(redis.url, 1) as [first], member(redis.url, "dry", world) as dry:
        await until(lambda: dry.up)
        await dry.guard.administration.allow(ATTACKER, "")
        await first.guard.administration.allow(BRANCH, "")
        await until(lambda: allows(dry, BRANCH))
        assert redis.do("HKEYS", SNAPSHOT) == [BRANCH.encode()]


async def test_one_node_has_so_many_allowed_and_no_wide_network_and_nothing_that_redis_does_not_hold(
    redis: Redis,
) -> None:
    async with fleet(redis.url, 1) as [one]:
        for wide in ("198.51.0.0/16", "2001:db8::/32", "0.0.0.0/0"):
            hold(redis, wide, said(wide))
        redis.do("XADD", KEY, "*", "m", said("203.0.113.1"))
        redis.do("HSET", SNAPSHOT, "203.0.113.2", b"1 " + b"x" * 1_000_000)
        redis.do("XADD", KEY, "*", "m", said("203.0.113.2"))
        for number in range(ALLOWED + 20):
            target = f"203.0.{number // 256}.{number % 256}"
            hold(redis, target, said(target))
        hold(redis, BRANCH, said(BRANCH, node="honest"))
        await until(lambda: allows(one, BRANCH), 20)

        told = [allowed.node for allowed in one.guard.exemptions.told()]
        assert (told.count("evil"), told.count("honest")) == (ALLOWED, 1)
        assert one.node.status()["refused"] == 24, "three wide ones, one that Redis does not hold, and 20 too many"
        async with member(redis.url, "new") as new:
            await until(lambda: len(new.guard.exemptions.told()) >= ALLOWED)


async def test_a_snapshot_of_any_length_is_read_up_to_a_bound(redis: Redis) -> None:
    fill = """for i = 1, 20000 do
        local target = '10.' .. math.floor(i / 65536) .. '.' .. math.floor(i / 256) % 256 .. '.' .. i % 256
        redis.call('HSET', KEYS[1], target, '1 ' .. string.gsub(ARGV[1], 'TARGET', target))
    end"""
    for node in ("a", "b", "c", "d", "e"):
        redis.do("EVAL", fill.replace("'10.'", f"'{ord(node)}.'"), 1, SNAPSHOT, said("TARGET", node=node))
    async with member(redis.url, "new") as new:
        await until(lambda: new.up, 20)
        assert 0 < len(new.guard.exemptions.told()) <= ALL_ALLOWED
        assert new.world.journal.of(Action.FLEET_REFUSED)


async def test_redis_itself_keeps_nodes_that_may_not_allow_from_it(redis: Redis) -> None:
    redis.do(*acl("amiguard"))
    redis.do(*acl("branch"))
    url = redis.url.replace("unix://", "unix://{}@") + "?db=0&password=PASSWORD"
    async with member(url.format("amiguard"), "head") as head, member(url.format("branch"), "evil") as evil:
        await until(lambda: head.up and evil.up)
        await head.guard.administration.allow(BRANCH, "")
        await until(lambda: allows(evil, BRANCH))
        attack(evil.guard)
        await until(lambda: head.drops(ATTACKER))
        for command in (["HSET", SNAPSHOT, "a", "b"], ["HDEL", SNAPSHOT, "a"], ["ZADD", TAKEN_BACK, "1", "a"]):
            assert b"o permissions" in redis.do("ACL", "DRYRUN", "branch", *command)
        await evil.guard.administration.allow(ATTACKER, "")
        await until(lambda: evil.logged(Action.FLEET_LOST) == 1)
        assert head.drops(ATTACKER)
