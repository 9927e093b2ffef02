"""However much there is of anything, no step of the loop takes long: every event and every ban waits for its end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from amiguard.asterisk.schema import SecurityEvent
from amiguard.journal import Action
from amiguard.listed import Width
from amiguard.lists import Delta
from amiguard.model import Address, Phone, Target
from amiguard.policy import NetworkBans, Scan
from amiguard.presence import CAPACITY, LIFETIME
from amiguard.rules.scanners import PATIENCE, WAITING
from tests.lab.steps import BREATH, steps
from tests.lab.waiting import until
from tests.lab.world import POLICY, World, guess


def numbered(number: int) -> Address:
    return Address(Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))


async def test_challenges_that_nobody_answers_and_that_are_overdue_all_at_once() -> None:
    world = World(policy=replace(POLICY, scan=Scan(challenges=2, accounts=50, learning=1)))
    async with world.running() as guard:
        for number in range(WAITING):
            world.now += number < 2
            event = SecurityEvent("ChallengeSent", "PJSIP", numbered(number // 20), 5062, "UDP", "6001", str(number))
            guard.observe(event, "ami")
        world.now += PATIENCE + 1
        with steps() as taken:
            await until(lambda: world.journal.count(Action.BAN) == WAITING // 20, 20)

    assert max(taken) < BREATH


async def test_changes_of_a_list_among_many_phones() -> None:
    world = World()
    async with world.running() as guard:
        for number in range(5_000):
            guard.presence.learn(Phone(numbered(number), "6001" + str(number), world.now + LIFETIME), world.now)
        with steps() as taken:
            put = [(Width(4, width), 200 << width - 8 | n, world.now + 1000) for width in (24, 32) for n in range(250)]
            asyncio.get_running_loop().call_soon(guard.listing.change, "crowdsec", Delta(put, []))
            await until(lambda: guard.listing.status("crowdsec")["entries"] == len(put))

    assert max(taken) < BREATH


async def test_the_ban_of_a_network_among_as_many_phones_as_are_remembered() -> None:
    world = World(policy=replace(POLICY, networks=NetworkBans(offenders6=5)))
    async with world.running() as guard:
        for number in range(CAPACITY):
            phone = Phone(Address(Target(f"2001:db8::{number:x}")), f"6001{number}", world.now + LIFETIME)
            guard.presence.learn(phone, world.now)
        with steps() as taken:
            for number in range(5):
                address = f"2001:db8:1::{number:x}"
                asyncio.get_running_loop().call_soon(guard.observe, guess(address), "ami")
            await until(lambda: Target("2001:db8:1::/64") in world.firewall.dropped)

    assert max(taken) < BREATH
