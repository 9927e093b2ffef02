from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.model import Address, Target
from amiguard.policy import NetworkBans, Scan, Slow, Spread
from tests.lab.described import described
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, POLICY, World, attack, guess

DAY = 24 * 3_600_000


async def ask(guard: Guard, address: str = ATTACKER) -> Any:
    told = json.loads(json.dumps(await guard.administration.offender(Address(Target(address)))))
    described("Offender", told)
    return told


async def test_it_tells_what_was_counted_and_what_is_missing_for_a_ban() -> None:
    policy = replace(POLICY, slow=Slow(20, 7 * DAY), scan=Scan(100, 10, 1000), spread=Spread(10, DAY, 0))
    world = World(policy=replace(policy, networks=NetworkBans(5, 5)))
    async with world.running() as guard:
        attack(guard, times=3)
        told = await ask(guard)

    assert (told["banned"], told["why"]) == (
        False,
        "it is not banned: 3 of 5 failures, 3 of 20 failures in the long window, 1 of 10 account names",
    )
    assert told["tried"] == [{"account": "100", "failures": 3}]
    assert {rule: what.get("count") for rule, what in told["rules"].items()} == {
        "jail": 3, "slow": 3, "scanners": 0, "names": 1, "networks": 0, "accounts": None
    }  # fmt: skip
    assert told["rules"]["jail"]["evidence"] == "datagram"


async def test_it_tells_of_the_running_ban_and_how_many_came_before() -> None:
    world = World()
    async with world.running() as guard:
        attack(guard)
        await until(lambda: ATTACKER in world.firewall.dropped)
        told = await ask(guard)

    assert told["banned"]
    assert told["why"].endswith("wrong-password, after 5 failures")
    assert [ban["address"] for ban in told["bans"]] == [ATTACKER]
    assert told["earlier"] == 1


async def test_it_tells_of_the_ban_of_a_network_around_the_address() -> None:
    world = World()
    async with world.running() as guard:
        await guard.administration.ban(Target("192.0.2.0/24"), None, "a bad place")
        told = await ask(guard)

    assert told["banned"]
    assert "its network 192.0.2.0/24 is banned for ever" in told["why"]


async def test_it_tells_what_each_ban_dropped_and_of_which_country_it_is() -> None:
    world, network, threads = World(), Target("192.0.2.0/24"), set[int]()

    def country(target: Target) -> str:
        threads.add(threading.get_ident())
        return "DE" if target == ATTACKER else ""

    async with world.running() as guard:
        guard.administration.country = country
        await guard.administration.ban(Target(ATTACKER), None, "")
        await guard.administration.ban(network, None, "")
        told = await ask(guard)

    dropped = {"packets": 3, "bytes": 1200}
    assert told["country"] == "DE"
    assert [(ban["address"], ban.get("country"), ban["dropped"]) for ban in told["bans"]] == [
        (ATTACKER, "DE", dropped),
        (network, None, dropped),
    ]
    assert threading.get_ident() not in threads, "reading the database must not hold up the loop"


async def test_it_tells_who_allows_the_address() -> None:
    world = World(allow=("192.0.2.0/24",))
    async with world.running() as guard:
        attack(guard)
        told = await ask(guard)

    assert not told["banned"]
    assert told["allowed"] == [{"address": "192.0.2.0/24", "origin": "settings", "comment": ""}]


async def test_of_a_stranger_nothing_is_known() -> None:
    world = World()
    async with world.running() as guard:
        told = await ask(guard, "2001:db8::9")

    assert told["why"] == "nothing is held against it"
    assert told["rules"]["jail"] == {
        "count": 0, "limit": 5, "findtime": 600, "first": None, "last": None, "evidence": None
    }  # fmt: skip


async def test_what_lies_outside_the_window_is_not_counted() -> None:
    world = World()
    async with world.running() as guard:
        guard.observe(guess(session="old"), "ami")
        world.now += 600_001
        told = await ask(guard)

    assert told["rules"]["jail"]["count"] == 0
    assert told["why"] == "nothing is held against it"


async def test_a_dry_run_decides_alike_and_its_line_says_that_nothing_is_dropped() -> None:
    world = World()
    world.firewall.enforces = False
    async with world.running() as guard:
        attack(guard)
        await until(lambda: world.journal.count(Action.BAN) == 1)

        (line,) = world.journal.of(Action.BAN)
        assert (line.fields["outcome"], line.fields["reason"]) == ("unknown", "dry-run")
        told = await ask(guard)
        assert told["banned"]
        assert told["why"].endswith("(a dry run, which drops nothing)")


async def test_it_tells_which_phones_are_known_there_and_how_they_fail() -> None:
    world = World(policy=replace(POLICY, protected_maxretry=50))
    async with world.running() as guard:
        guard.observe(guess()._replace(name="SuccessfulAuth", using_password=True), "ami")
        for number in range(7):
            guard.observe(guess(session=f"call-{number}"), "ami")
        guard.presence.tell_trunk("sip.example.org", [ATTACKER])
        told = await ask(guard)

        (phone,) = told["phones"]
        assert (phone["account"], phone["failures"], phone["limit"]) == (guess().account, 7, 50)
        assert told["trunk"] is True
        guard.presence.tell_trunk("sip.example.org", [])
        assert (await ask(guard))["why"].endswith(f"count apart: {guess().account} 7 of 50")
        assert told["rules"]["jail"]["count"] == 0


async def test_it_tells_why_somebody_is_not_banned_where_phones_are_known_and_of_a_trunk() -> None:
    world = World(policy=replace(POLICY, protected_maxretry=50, slow=Slow(20, 7 * DAY)))
    async with world.running() as guard:
        guard.observe(guess()._replace(name="SuccessfulAuth", using_password=True), "ami")
        for account in ("new", "new", "new", "other"):
            guard.observe(guess(session=f"call-{world.now}")._replace(account=account), "ami")
            world.now += 1000
        trunk = Address(Target("198.51.100.1"))
        guard.presence.tell_trunk("sip.example.org", [trunk])

        assert (await ask(guard))["why"] == (
            "it is not banned: 1 of 50 failures that only datagrams claim, 3 of 50 failures of a new phone, "
            "1 of 20 failures in the long window; phones are known to be there, whose own failures count apart: none"
        )
        assert (await ask(guard, trunk))["why"] == (
            "it is not banned: it is a trunk of this server, which nothing bans that only datagrams claim"
        )
