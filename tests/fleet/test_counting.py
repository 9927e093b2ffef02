"""Failures that all nodes count together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amiguard.fleet import scripts
from amiguard.journal import Action
from amiguard.model import Address, Evidence, Origin, Reason, Target
from amiguard.policy import NetworkBans, Spread
from tests.lab.fleet import Member, fleet, member, settings
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, POLICY, World, attack, guess

pytestmark = pytest.mark.redis

KEY = f"{{amiguard}}:count:{ATTACKER}"
CROWDED = replace(
    POLICY, networks=NetworkBans(offenders4=3, offenders6=3), spread=Spread(addresses=4, findtime=600_000, maxretry=2)
)


def crowded(number: int = 0) -> World:
    return World(now=1_000_000 + 60_000 * number, policy=CROWDED)


def fail(one: Member, address: str, transport: str = "UDP") -> None:
    one.guard.observe(guess(address, session=address, transport=transport), "ami")


def counted(one: Member) -> object:
    return one.node.status()["counted"]


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


async def test_addresses_of_one_network_that_fail_at_different_nodes_have_it_banned_on_all(redis: Redis) -> None:
    async with member(redis.url, "a", crowded()) as a, member(redis.url, "b", crowded(1)) as b:
        await until(lambda: a.up and b.up)
        for one, last in ((a, 1), (b, 2)):
            fail(one, f"2001:db8::{last}")
            fail(one, f"2001:db8::{last}")
        await until(lambda: counted(a) == counted(b) == 2)
        assert not a.drops("2001:db8::/64")
        fail(b, "2001:db8::3")
        await until(lambda: a.drops("2001:db8::/64") and b.drops("2001:db8::/64"))

        ban = a.guard.administration.find(Target("2001:db8::/64"))
        assert ban is not None
        assert (ban.origin, ban.node, ban.reason, ban.failures) == (Origin.FLEET, "b", Reason.NETWORK, 3)
        assert (ban.evidence, ban.absolute) == (Evidence.DATAGRAM, False)


async def test_of_an_ipv4_network_only_who_is_banned_or_proven_counts_on_all_nodes_too(redis: Redis) -> None:
    async with member(redis.url, "a", crowded()) as a, member(redis.url, "b", crowded(1)) as b:
        await until(lambda: a.up and b.up)
        for last in range(1, 8):
            fail(a, f"198.51.100.{last}")
        await until(lambda: counted(a) == 7)
        assert redis.do("EXISTS", "{amiguard}:network:198.51.100.0/24") == 0
        attack(a.guard, "198.51.100.10")
        attack(b.guard, "198.51.100.20", times=4)
        attack(a.guard, "198.51.100.20", times=1)
        await until(lambda: b.drops("198.51.100.10") and b.drops("198.51.100.20"))
        assert not b.drops("198.51.100.0/24")
        fail(b, "198.51.100.30", "TCP")
        await until(lambda: a.drops("198.51.100.0/24") and b.drops("198.51.100.0/24"))


async def test_a_network_is_banned_around_who_is_allowed_in_it(redis: Redis) -> None:
    world = World(policy=CROWDED, allow=("2001:db8::80",))
    async with member(redis.url, "a", world) as a:
        await until(lambda: a.up)
        for last in (1, 2, 3):
            fail(a, f"2001:db8::{last}")
        await until(lambda: len(a.world.firewall.dropped) > 1)
        assert not a.drops("2001:db8::/64")
        await until(lambda: a.drops("2001:db8:0:0:8000::/65"))


async def test_an_account_that_fails_from_everywhere_at_different_nodes_is_told_once_and_all_are_strict(
    redis: Redis,
) -> None:
    async with member(redis.url, "a", crowded()) as a, member(redis.url, "b", crowded(1)) as b:
        await until(lambda: a.up and b.up)
        for one, address in ((a, "192.0.2.11"), (a, "192.0.2.12"), (b, "192.0.2.13"), (b, "192.0.2.14")):
            fail(one, address)
        await until(lambda: counted(a) == counted(b) == 2)
        await until(lambda: a.logged(Action.ACCOUNT_UNDER_ATTACK) + b.logged(Action.ACCOUNT_UNDER_ATTACK) == 1)
        for one, last in ((a, 21), (b, 22)):
            fail(one, f"192.0.2.{last}")
        await until(lambda: counted(a) == counted(b) == 3)
        for one, last in ((a, 31), (b, 32)):
            attack(one.guard, f"192.0.2.{last}", times=2)
        await until(lambda: a.drops("192.0.2.31") and b.drops("192.0.2.32"))
        assert a.logged(Action.ACCOUNT_UNDER_ATTACK) + b.logged(Action.ACCOUNT_UNDER_ATTACK) == 1


async def test_a_flood_of_forged_sources_fills_redis_no_further_and_pushes_nobody_out_who_goes_on(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = scripts.COUNT.replace(f"> {scripts.COUNTED} then", "> 50 then")
    assert few != scripts.COUNT
    monkeypatch.setattr("amiguard.fleet.link.COUNT", few)
    async with member(redis.url, "a") as a:
        await until(lambda: a.up)
        attack(a.guard, times=3)
        for number in range(300):
            fail(a, f"203.0.{number // 250}.{number % 250}")
        await until(lambda: counted(a) == 303, 10)
        assert len(redis.do("KEYS", "*:count:*")) == redis.do("ZCARD", "{amiguard}:counted") == 50
        assert redis.do("ZCARD", KEY) == 3


async def test_what_somebody_put_in_the_place_of_a_count_spoils_no_other_and_no_name_that_is_read_is_obeyed(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amiguard.fleet.link.COUNT", scripts.COUNT.replace(f"> {scripts.COUNTED} then", "> 3 then"))
    async with fleet(redis.url, 2) as [first, second]:
        await first.guard.administration.ban(Target("198.51.100.9"), None, "")
        await until(lambda: second.drops("198.51.100.9"))
        redis.do("SET", "{amiguard}:count:192.0.2.66", "x")
        redis.do("ZADD", "{amiguard}/disallowed", 1, "a")
        for number, name in enumerate(("{amiguard}/disallowed", "{amiguard}:ends", "{amiguard}:changes", "other:x:y")):
            redis.do("ZADD", "{amiguard}:counted", number, name)
        attack(first.guard, "192.0.2.66", times=4)
        attack(first.guard, times=4)
        await until(lambda: counted(first) == 8)
        attack(second.guard, times=1)
        await until(lambda: first.drops(ATTACKER) and second.drops(ATTACKER))
        await first.guard.administration.unban(Target("192.0.2.66"))
        await until(lambda: first.node.status()["waiting"] == 0)
        assert redis.do("ZCARD", "{amiguard}/disallowed") == 1
        assert redis.do("ZCARD", "{amiguard}:ends") == 2
        assert first.logged(Action.FLEET_LOST) == 0
