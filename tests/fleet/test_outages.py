"""Redis away, hung, emptied, full: every node goes on, and afterwards all agree."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence

import pytest

from amiguard.fleet.link import Link
from amiguard.fleet.outbox import Outbox
from amiguard.fleet.scripts import KEPT
from amiguard.journal import Action
from amiguard.model import Ban, Reason, Target
from amiguard.nodes import Lifted, Participant, Shared
from amiguard.ports import Saved
from tests.lab.fleet import fleet, member, settings
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, World, attack

pytestmark = pytest.mark.redis

STRANGER = Target("192.0.2.9")
ANOTHER = Target("198.51.100.9")
KEY = "{amiguard}:changes"


async def test_while_redis_is_down_each_node_bans_alone_and_tells_it_afterwards(redis: Redis) -> None:
    async with fleet(redis.url, 3) as members:
        await members[1].guard.administration.ban(ANOTHER, None, "")
        await until(lambda: all(one.drops(ANOTHER) for one in members))
        await redis.end(signal.SIGKILL)
        await until(lambda: all(one.logged(Action.FLEET_LOST) for one in members))
        attack(members[0].guard)
        await until(lambda: members[0].drops(ATTACKER))
        for one in members:
            one.world.now += 10_000
        await members[2].guard.administration.unban(ANOTHER)
        assert not members[1].drops(ATTACKER)
        assert members[0].node.status()["waiting"] == 1

        await redis.start()
        await until(lambda: all(one.drops(ATTACKER) for one in members), 5)
        await until(lambda: not any(one.drops(ANOTHER) for one in members), 5)
        await until(lambda: [one.logged(Action.FLEET_CONNECTED) for one in members] == [2, 2, 2])


async def test_a_node_ends_when_it_is_told_to_whatever_it_asks_redis_just_then(redis: Redis) -> None:
    link = Link(settings(redis.url, "one"))
    for turn in range(300):
        asking = asyncio.create_task(_ask_for_ever(link))
        for _ in range(turn % 30):
            await asyncio.sleep(0)
        asking.cancel()
        done, _ = await asyncio.wait({asking}, timeout=2)
        assert done, f"it goes on after {turn} turns"
    await link.close()


async def _ask_for_ever(link: Link) -> None:
    while True:
        await link.greet("")


async def test_a_ban_that_is_told_anew_does_not_outlive_the_unban_of_the_node_that_hears_it(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        await first.guard.administration.ban(STRANGER, None, "")
        await until(lambda: second.drops(STRANGER))
        sent, told = asyncio.Event(), second.node._send

        async def later(link: Link, batch: Sequence[Shared], us: Participant) -> None:
            await sent.wait()
            await told(link, batch, us)

        monkeypatch.setattr(second.node, "_send", later)
        await second.guard.administration.unban(STRANGER)
        assert not second.drops(STRANGER)
        redis.do("XADD", KEY, "*", "m", redis.do("XRANGE", KEY, "-", "+")[0][1][b"m"])
        await until(lambda: second.drops(STRANGER))
        sent.set()
        await until(lambda: not first.drops(STRANGER) and not second.drops(STRANGER))


async def test_a_redis_that_was_never_there_keeps_nobody_from_starting(redis: Redis) -> None:
    await redis.end()
    async with member(redis.url, "alone") as alone:
        await until(lambda: alone.logged(Action.FLEET_LOST) == 1)
        attack(alone.guard)
        await until(lambda: alone.drops(ATTACKER))
        await redis.start()
        await until(lambda: alone.up)
        await until(lambda: redis.do("XLEN", KEY) == 1)


async def test_a_redis_that_hangs_is_noticed_and_heard_again_once_it_answers(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        redis.stall()
        attack(first.guard)
        await until(lambda: first.drops(ATTACKER))
        await until(lambda: not second.up, 6)
        redis.go_on()
        await until(lambda: second.drops(ATTACKER), 5)


async def test_after_flushall_each_node_tells_its_own_bans_anew(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        attack(first.guard)
        await second.guard.administration.ban(STRANGER, None, "")
        await until(lambda: first.drops(STRANGER) and second.drops(ATTACKER))
        redis.do("FLUSHALL")
        await until(lambda: redis.do("HLEN", "{amiguard}:bans") == 2, 5)
        async with member(redis.url, "new") as new:
            await until(lambda: new.drops(ATTACKER, STRANGER))
        assert first.drops(ATTACKER, STRANGER)


async def test_after_flushall_bans_of_long_ago_are_told_anew_too(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        await first.guard.administration.ban(STRANGER, None, "")
        await until(lambda: redis.do("HLEN", "{amiguard}:bans") == 1)
        first.world.now += 3 * KEPT
        redis.do("FLUSHALL")
        await until(lambda: redis.do("HKEYS", "{amiguard}:bans") == [STRANGER.encode()], 5)


async def test_a_message_that_is_too_old_for_the_stream_is_no_loss_after_which_all_is_told_again(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        await first.guard.administration.ban(STRANGER, None, "")
        await until(lambda: redis.do("XLEN", KEY) == 1)
        first.world.now += 3 * KEPT
        redis.do("XTRIM", KEY, "MAXLEN", "0")
        redis.do("DEL", "{amiguard}:nodes")
        await until(lambda: redis.do("HLEN", "{amiguard}:nodes") == 1, 5)  # it has greeted
        assert redis.do("XLEN", KEY) == 0


async def test_an_unban_that_redis_took_and_lost_is_told_again_and_lifts_no_newer_ban(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        for target in (STRANGER, ANOTHER):
            await first.guard.administration.ban(target, None, "")
        await until(lambda: second.drops(STRANGER, ANOTHER))
        world = second.world
        bans = second.guard.administration.bans()
        for one in (first, second):
            one.world.now += 60_000
        await first.guard.administration.unban(STRANGER)
        await first.guard.administration.unban(ANOTHER)
        await until(lambda: not second.drops(STRANGER) and not second.drops(ANOTHER))
        first.world.now += 60_000
        async with member(redis.url, "third", World(now=world.now + 60_000)) as third:
            await until(lambda: third.up)
            await third.guard.administration.ban(ANOTHER, None, "")
            await until(lambda: first.drops(ANOTHER))
            redis.do("FLUSHALL")
            back = World(now=world.now + 60_000)
            back.store.saved = Saved(bans=bans)
            async with member(redis.url, "back", back) as late:
                await until(lambda: late.up and not late.drops(STRANGER), 5)
                await until(lambda: redis.do("HKEYS", "{amiguard}:bans") == [ANOTHER.encode()], 5)
                assert all(one.drops(ANOTHER) for one in (first, third, late))


async def test_a_redis_that_lost_its_newest_messages_is_told_them_again(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        attack(first.guard)
        await until(lambda: redis.do("HLEN", "{amiguard}:bans") == 1)
        redis.do("DEL", KEY, "{amiguard}:bans", "{amiguard}:ends")
        await until(lambda: redis.do("HLEN", "{amiguard}:bans") == 1, 5)


async def test_a_full_redis_is_still_heard_and_gets_what_waits_once_there_is_room(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        redis.do("CONFIG", "SET", "maxmemory", 1)
        attack(first.guard)
        await until(lambda: first.logged(Action.FLEET_LOST) == 1)
        assert "maxmemory" in str(first.node.status()["error"])
        assert first.drops(ATTACKER)
        assert second.up

        redis.do("CONFIG", "SET", "maxmemory", 0)
        await until(lambda: second.drops(ATTACKER) and first.up, 5)


async def test_a_full_redis_tells_nodes_that_come_what_it_holds(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [first]:
        attack(first.guard)
        await until(lambda: redis.do("HLEN", "{amiguard}:bans") == 1)
        redis.do("CONFIG", "SET", "maxmemory", 1)
        async with member(redis.url, "new") as new:
            await until(lambda: new.drops(ATTACKER))


async def test_a_node_that_nobody_tells_of_an_outage_takes_up_what_it_missed(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        redis.do("CLIENT", "KILL", "TYPE", "normal")
        await first.guard.administration.ban(STRANGER, None, "")
        await until(lambda: second.drops(STRANGER), 5)


def test_the_outbox_keeps_the_newest_change_of_each_target_and_the_newest_targets() -> None:
    ban = Ban(STRANGER, 0, None, Reason.MANUAL)
    outbox = Outbox(capacity=2)
    outbox.put(ban)
    outbox.put(Lifted(ANOTHER, 0))
    outbox.put(Lifted(STRANGER, 0))
    assert outbox.peek(9) == [Lifted(ANOTHER, 0), Lifted(STRANGER, 0)]
    outbox.put(Lifted(ATTACKER, 0))
    assert outbox.peek(9) == [Lifted(STRANGER, 0), Lifted(ATTACKER, 0)]
    assert outbox.lost == 1


def test_the_outbox_keeps_a_change_that_came_while_an_older_one_was_told() -> None:
    outbox = Outbox()
    outbox.put(Lifted(STRANGER, 0))
    [told] = outbox.peek(1)
    outbox.put(Lifted(STRANGER, 0))
    outbox.done(told)
    assert len(outbox) == 1


async def test_a_redis_whose_answers_never_stop_nesting_is_away_and_ends_no_task() -> None:
    async def nest(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"*1\r\n" * 5_000)
        writer.close()

    server = await asyncio.start_server(nest, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, member(url, "one") as one:
        await until(lambda: one.logged(Action.FLEET_LOST) == 1)
        attack(one.guard)
        assert one.drops(ATTACKER)
