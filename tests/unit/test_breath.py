"""However much there is of anything, no step of the loop takes long: every event and every ban waits for its end."""

from __future__ import annotations

import asyncio
import time
from array import array
from dataclasses import replace

from amiguard.asterisk.schema import SecurityEvent
from amiguard.fleet.node import Node
from amiguard.fleet.outbox import CAPACITY as CAPACITY_OF_OUTBOX
from amiguard.fleet.settings import FleetSettings
from amiguard.journal import Action
from amiguard.listed import Listed, Part, Width
from amiguard.lists import Delta
from amiguard.model import Address, Ban, Phone, Reason, Target
from amiguard.policy import NetworkBans, Scan
from amiguard.ports import Saved
from amiguard.presence import CAPACITY, LIFETIME
from amiguard.quota import ALL_HELD, RECOUNT, Quota
from amiguard.rules.scanners import PATIENCE, WAITING
from tests.lab.journal import SilentJournal
from tests.lab.lists import FAR
from tests.lab.steps import BREATH, steps
from tests.lab.waiting import until
from tests.lab.world import POLICY, RecordingStore, World, guess

MANY = 50_000


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


async def test_changes_of_a_long_list_among_many_phones() -> None:
    world = World()
    async with world.running() as guard:
        long = Part(array("I", range(200 << 24, (200 << 24) + 1_000_000)), array("q", [FAR]) * 1_000_000)
        guard.listing.replace("crowdsec", Listed({Width(4, 32): long}), {})
        for number in range(5_000):
            guard.presence.learn(Phone(numbered(number), "6001" + str(number), world.now + LIFETIME), world.now)
        with steps() as taken:
            put = [(Width(4, width), 45 << width - 8 | n, FAR) for width in (24, 32) for n in range(250)]
            await asyncio.create_task(guard.listing.change("crowdsec", Delta(put, [])))
            await asyncio.create_task(guard.listing.change("crowdsec", Delta([], [one[:2] for one in put])))

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


async def test_all_bans_that_are_told_again_to_a_redis_that_lost_them() -> None:
    node = Node(FleetSettings("redis://127.0.0.1:1", "nowhere", "pbx1", "amiguard", "1"), SilentJournal(), lambda: 0)
    bans = [Ban(numbered(number), 1_000_000, None, Reason.WRONG_PASSWORD) for number in range(MANY)]
    world = World(store=RecordingStore(Saved(bans)), fleet=node)
    async with world.running() as guard:
        assert guard._sharing is not None
        with steps() as taken:
            await asyncio.create_task(node._tell_again(guard._sharing, emptied=True))
        assert len(node.untold()) == CAPACITY_OF_OUTBOX

    assert max(taken) < BREATH


def test_a_look_at_which_bans_of_a_node_have_ended() -> None:
    quota = Quota(lambda _: True)
    for number in range(ALL_HELD):
        quota.book(numbered(number), "evil")
    began = time.thread_time()
    assert not quota.has_room(numbered(ALL_HELD), "good", RECOUNT)

    assert time.thread_time() - began < BREATH / 5
