"""A node that is broken, or was taken over, and what Redis lets a node do."""

from __future__ import annotations

import asyncio
import json
import traceback
from pathlib import Path

import pytest

from amiguard.errors import FleetError
from amiguard.fleet.link import Link
from amiguard.fleet.settings import FleetSettings
from amiguard.journal import Action
from amiguard.model import Target
from amiguard.quota import ALL_HELD, BURST, HELD, MAX_NODES, RATE, RECOUNT, Quota
from tests.fleet.test_counting import crowded
from tests.lab.fleet import Member, fleet, member
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, attack

pytestmark = pytest.mark.redis

KEY = "{amiguard}:changes"
OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
BAN: dict[str, object] = {
    "v": 1,
    "node": "evil",
    "instance": "0123456789abcdef",
    "kind": "ban",
    "target": "203.0.113.1",
    "age": 0,
    "remaining": 60_000,
    "reason": "acl",
    "evidence": "connected",
    "absolute": True,
    "failures": 5,
    "accounts": [],
    "service": "",
    "transport": "",
    "comment": "",
}
WRONG: list[dict[str, object]] = [
    {"v": 2},
    {"kind": "quit"},
    {"target": "0.0.0.0/0"},
    {"target": "::/0"},
    {"target": "203.0.113.001"},
    {"target": "x" * 10_000},
    {"remaining": -1},
    {"age": "1"},
    {"remaining": 10**20},
    {"reason": ["acl"]},
    {"evidence": {}},
    {"accounts": ["a"] * 11},
    {"comment": "x" * 257},
    {"node": "a\nb"},
    {"absolute": 1},
    {"failures": True},
]

FLOOD = """
for i = 1, tonumber(ARGV[1]) do
    local target = '10.0.' .. math.floor(i / 256) .. '.' .. i % 256
    redis.call('XADD', KEYS[1], '*', 'm', (string.gsub(ARGV[2], '203%.0%.113%.1', target)))
end
"""


def say(redis: Redis, message: bytes) -> None:
    redis.do("XADD", KEY, "*", "m", message)


async def test_garbage_changes_nothing_and_what_comes_behind_it_is_heard(redis: Redis) -> None:
    async with fleet(redis.url, 1) as [one]:
        wrong = [
            b"",
            b"\xff\xfe",
            b"[" * 60_000,
            b"1" * 70_000,
            b"9" * 5_000,
            *(json.dumps(BAN | change).encode() for change in WRONG),
        ]
        for message in wrong:
            say(redis, message)
        redis.do("XADD", KEY, "*", "other", "field")
        redis.do("HSET", "{amiguard}:bans", "x", "y", "z", "1 {")
        redis.do("HSET", "{amiguard}:nodes", b"\xff", b"y", "z", b"9" * 4_000)
        say(redis, json.dumps(BAN).encode())
        await until(lambda: one.drops("203.0.113.1"))

        assert one.world.firewall.dropped.keys() == {"203.0.113.1"}
        assert one.node.status()["refused"] == one.logged(Action.FLEET_REFUSED) == len(wrong) + 1
        async with member(redis.url, "new") as new:
            await until(lambda: new.drops("203.0.113.1"))


async def test_a_flood_of_bans_by_one_node_ends_at_its_limit_and_others_are_heard(redis: Redis) -> None:
    async with fleet(redis.url, 2) as [first, second]:
        redis.do("EVAL", FLOOD, 1, KEY, BURST + 2_000, json.dumps(BAN))
        await until(lambda: second.logged(Action.FLEET_REFUSED) > 0, 20)
        attack(first.guard)
        await until(lambda: second.drops(ATTACKER), 20)
        await until(lambda: not second.guard._enforcement.waiting, 20)
        assert BURST <= len(second.world.firewall.dropped) <= BURST + 1_000


def test_a_node_gets_its_rate_back_and_new_names_give_no_more_than_all_may() -> None:
    quota = Quota(lambda _: True)
    assert sum(quota.admits("evil", 0) for _ in range(2 * BURST)) == BURST
    assert quota.admits("good", 0)
    assert sum(quota.admits("evil", 1_000) for _ in range(2 * RATE)) == RATE

    quota = Quota(lambda _: True)
    assert sum(quota.admits(f"evil{number}", 0) for number in range(2 * MAX_NODES)) == MAX_NODES


def test_the_bans_of_one_node_and_of_all_are_bounded_until_some_end() -> None:
    held: set[Target] = set()
    quota = Quota(held.__contains__)

    def fill(node: str, most: int) -> int:
        for number in range(most):
            target = Target(f"{node}-{number}")
            if not quota.has_room(target, node, 1):
                return number
            held.add(target)
            quota.book(target, node)
        return most

    assert fill("evil", 2 * HELD) == HELD
    assert fill("evil2", HELD) + fill("evil3", HELD) + fill("evil4", HELD) == 3 * HELD
    assert fill("evil5", HELD) + fill("evil6", HELD) == ALL_HELD - 4 * HELD
    assert not quota.has_room(Target("new"), "good", RECOUNT)
    held.clear()
    assert quota.has_room(Target("new"), "good", 2 * RECOUNT)


def acl(user: str = "amiguard") -> list[str]:
    """The rule of docs/operations.md, word by word."""
    [line] = [line for line in OPERATIONS.read_text().splitlines() if line.startswith(f"ACL SETUSER {user} ")]
    return line.split()


async def share_something(one: Member, other: Member) -> None:
    attack(one.guard, times=4)
    await until(lambda: one.node.status()["counted"] == 4)
    attack(other.guard, times=1)
    await until(lambda: other.drops(ATTACKER))
    await other.guard.administration.unban(ATTACKER)
    await until(lambda: not one.drops(ATTACKER))


async def test_the_documented_acl_is_all_that_a_node_needs_and_lets_it_do_little_else(redis: Redis) -> None:
    redis.do(*acl())
    url = f"{redis.url.replace('unix://', 'unix://amiguard@')}?db=0&password=PASSWORD"
    async with member(url, "one", crowded()) as one, member(url, "two", crowded()) as two:
        await until(lambda: one.up and two.up)
        await until(lambda: two.node.status()["nodes"] != [])
        await share_something(one, two)
        for number in range(1, 6):
            attack(two.guard, f"2001:db8::{number}", times=1)
        await until(lambda: two.node.status()["counted"] == 6)
        assert one.logged(Action.FLEET_LOST) == two.logged(Action.FLEET_LOST) == 0
    for command in (["GET", "other"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["DEL", KEY]):
        assert "no permissions" in redis.do("ACL", "DRYRUN", "amiguard", *command).decode()


@pytest.mark.parametrize(
    ("setup", "says"),
    [
        (("ACL", "SETUSER", "default", ">secret"), "refuses the login"),
        (("ACL", "SETUSER", "default", "-@scripting"), "does not allow"),
    ],
)
async def test_why_redis_refuses_is_said_without_a_secret(redis: Redis, setup: tuple[str, ...], says: str) -> None:
    redis.do(*setup)
    async with member(f"{redis.url}?password=wrong-secret" if "login" in says else redis.url, "one") as one:
        await until(lambda: one.logged(Action.FLEET_LOST) == 1)
        [line] = one.world.journal.of(Action.FLEET_LOST)
        assert says in line.message
        assert "wrong-secret" not in f"{line}{one.node.status()}{one.node._settings!r}"


ECHOES = {
    b"-ERR unknown command 'AUTH', with args beginning with: 'default' 'wrong-secret' \r\n": "does not know AUTH",
    b"-MISCONF wrong-secret\r\n": "MISCONF",
    b"-MOVED 1 wrong-secret:6379\r\n": "refuses a command",
    b"-WRONGPASS wrong-secret\r\n": "refuses the login",
    b"*wrong-secret\r\n": "answers what was not expected",
}


@pytest.mark.parametrize("words", ECHOES)
async def test_a_secret_that_redis_repeats_is_in_no_log_line_and_no_traceback(words: bytes) -> None:
    async def repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4_096):
            writer.write(words)
        writer.close()

    server = await asyncio.start_server(repeat, "127.0.0.1", 0)
    url = f"redis://:wrong-secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, member(url, "one") as one:
        await until(lambda: one.logged(Action.FLEET_LOST) == 1)
        [line] = one.world.journal.of(Action.FLEET_LOST)
        error = line.fields["error"]
        assert isinstance(error, FleetError)
        assert ECHOES[words] in line.message
        assert "wrong-secret" not in f"{line}{one.node.status()}{''.join(traceback.format_exception(error))}"


async def test_a_replica_takes_no_changes_and_says_so(redis: Redis) -> None:
    redis.do("REPLICAOF", "127.0.0.1", "1")
    redis.do("CONFIG", "SET", "replica-serve-stale-data", "yes")
    link = Link(FleetSettings(redis.url, "test", "one", "amiguard", "0.1.0"))
    with pytest.raises(FleetError, match="is a replica"):
        await link.greet("")
    await link.close()
