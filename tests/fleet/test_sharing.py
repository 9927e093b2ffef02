"""Bans of one node on all others, over a real Redis."""

from __future__ import annotations

import pytest

from amiguard.journal import Action
from amiguard.model import Address, Ban, Evidence, Origin, Reason, Target
from tests.lab.fleet import fleet, member
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, RecordingFirewall, World, attack

pytestmark = pytest.mark.redis

STRANGER = Target("192.0.2.9")
CARRIER = Address(Target("203.0.113.5"))


async def test_whoever_is_banned_on_one_node_is_banned_on_all_and_each_tells_which_node_said_so(redis: Redis) -> None:
    async with fleet(redis.url, 5) as members:
        attack(members[0].guard)
        await until(lambda: all(one.drops(ATTACKER) for one in members))

        for one in members[1:]:
            ban = one.guard.administration.find(ATTACKER)
            assert ban is not None
            assert (ban.origin, ban.node, ban.reason) == (Origin.FLEET, "pbx0", Reason.WRONG_PASSWORD)
            assert (ban.evidence, ban.absolute, ban.failures, ban.accounts) == (Evidence.DATAGRAM, False, 5, ("100",))
            assert not one.world.notifier.notices, "the node that decided has told people"
        assert redis.do("XLEN", "{amiguard}:changes") == 1, "nobody tells it again"


async def test_a_lifetime_is_what_is_left_whatever_the_clocks_say(redis: Redis) -> None:
    async with fleet(redis.url, 3) as members:
        await members[2].guard.administration.ban(STRANGER, 60_000, "")
        await until(lambda: all(one.drops(STRANGER) for one in members))

        for one in members[:2]:
            left = one.world.firewall.dropped[STRANGER]
            assert left is not None
            assert 58_000 <= left <= 60_000


async def test_a_permanent_ban_is_permanent_everywhere(redis: Redis) -> None:
    async with fleet(redis.url, 2) as members:
        await members[0].guard.administration.ban(STRANGER, None, "")
        await until(lambda: members[1].drops(STRANGER))
        assert members[1].world.firewall.dropped[STRANGER] is None


async def test_an_unban_anywhere_lifts_the_ban_everywhere_and_the_next_ban_holds_again(redis: Redis) -> None:
    async with fleet(redis.url, 3) as members:
        attack(members[0].guard)
        await until(lambda: all(one.drops(ATTACKER) for one in members))
        await members[1].guard.administration.unban(ATTACKER)
        await until(lambda: not any(one.drops(ATTACKER) for one in members))
        assert members[0].world.journal.of(Action.UNBAN)[0].fields["node"] == "pbx1"

        attack(members[2].guard)
        await until(lambda: all(one.drops(ATTACKER) for one in members))


async def test_a_node_that_comes_later_takes_up_who_is_banned_and_not_who_was(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        attack(first.guard)
        await first.guard.administration.ban(STRANGER, None, "")
        await first.guard.administration.unban(STRANGER)
        await until(lambda: first.node.status()["waiting"] == 0)
        async with member(redis.url, "new") as new:
            await until(lambda: new.up)
            await until(lambda: new.drops(ATTACKER))
            assert not new.drops(STRANGER)
            assert new.logged(Action.UNBAN) == 0


async def test_what_left_the_stream_long_ago_is_in_the_snapshot(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        attack(first.guard)
        await until(lambda: redis.do("XLEN", "{amiguard}:changes") == 1)
        redis.do("XTRIM", "{amiguard}:changes", "MAXLEN", 0)
        async with member(redis.url, "new") as new:
            await until(lambda: new.drops(ATTACKER))


async def test_a_node_that_was_down_when_a_ban_was_lifted_lifts_it_when_it_is_back(redis: Redis) -> None:
    world = World()
    async with fleet(redis.url, 1) as [first]:
        async with member(redis.url, "other", world) as other:
            attack(first.guard)
            await until(lambda: other.drops(ATTACKER))
            bans = other.guard.administration.bans()
        await first.guard.administration.unban(ATTACKER)
        await until(lambda: first.node.status()["waiting"] == 0)

        again = World()
        again.store.saved = type(again.store.saved)(bans=bans)
        async with member(redis.url, "other", again) as other:
            await until(lambda: other.up)
            await until(lambda: not other.drops(ATTACKER))


async def test_a_node_bans_nobody_whom_it_allows_or_knows_at_the_word_of_another(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first], member(redis.url, "careful", World(allow=("192.0.2.0/28",))) as careful:
        careful.guard.presence.tell_trunk("carrier", [CARRIER])
        await until(lambda: careful.up)
        await first.guard.administration.ban(STRANGER, None, "")
        await first.guard.administration.ban(CARRIER, None, "")
        await first.guard.administration.ban(Target("192.0.2.0/24"), None, "")
        await first.guard.administration.ban(Target("198.51.100.9"), None, "")
        await until(lambda: careful.drops("198.51.100.9"))

        assert careful.world.firewall.dropped.keys() == {"198.51.100.9"}
        assert careful.logged(Action.BAN_SKIPPED) == 3


async def test_a_ban_of_this_node_that_ends_later_is_not_shortened(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        await first.guard.administration.ban(STRANGER, 3_600_000, "")
        await until(lambda: second.drops(STRANGER))
        await second.guard.administration.ban(STRANGER, 60_000, "")
        await second.guard.administration.ban(Target("198.51.100.9"), None, "")
        await until(lambda: first.drops("198.51.100.9"))
        ban = first.guard.administration.find(STRANGER)
        assert ban is not None
        assert (ban.origin, ban.until) == (Origin.MANUAL, ban.since + 3_600_000)


async def test_a_dry_run_bans_nobody_elsewhere_and_says_whom_it_would_ban(redis: Redis) -> None:
    world = World(firewall=RecordingFirewall(enforces=False))
    async with fleet(redis.url, 1) as [first], member(redis.url, "dry", world) as dry:
        await until(lambda: dry.up)
        attack(dry.guard)
        await until(lambda: dry.logged(Action.BAN) == 1)
        await first.guard.administration.ban(STRANGER, None, "")
        await until(lambda: dry.logged(Action.BAN) == 2)
        assert redis.do("XLEN", "{amiguard}:changes") == 1


async def test_a_dry_run_lifts_no_ban_elsewhere_and_takes_no_failure_from_those_who_would_ban_for_it(
    redis: Redis,
) -> None:
    world = World(firewall=RecordingFirewall(enforces=False))
    async with fleet(redis.url, 1) as [first], member(redis.url, "dry", world) as dry:
        await first.guard.administration.ban(STRANGER, None, "")
        await until(lambda: dry.logged(Action.BAN) == 1)
        await dry.guard.administration.unban(STRANGER)
        attack(dry.guard, times=3)
        attack(first.guard, times=4)
        await until(lambda: redis.do("ZCARD", f"{{amiguard}}:count:{ATTACKER}") == 4)
        assert redis.do("XLEN", "{amiguard}:changes") == 1
        assert dry.node.status()["counted"] == 0
        assert first.drops(STRANGER)


async def test_the_status_tells_who_is_there_and_in_which_version(redis: Redis) -> None:
    async with fleet(redis.url, 2), member(redis.url, "third") as third:
        await until(lambda: third.up)
        await until(lambda: len(third.guard.administration.status()["fleet"]["nodes"]) == 3)  # type: ignore[index]
        status = third.node.status()
        assert (status["node"], status["error"], status["waiting"]) == ("third", "", 0)
        assert status["nodes"][0] == {"node": "pbx0", "version": "0.1.0", "seen": 0}  # type: ignore[index]


async def test_a_ban_that_becomes_absolute_does_so_everywhere(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        attack(first.guard)
        await until(lambda: second.drops(ATTACKER))
        known = first.guard.administration.find(ATTACKER)
        assert isinstance(known, Ban)
        first.guard._enforcement.submit(known._replace(absolute=True, evidence=Evidence.CONNECTED))
        await until(lambda: ATTACKER in second.world.firewall.absolute)
