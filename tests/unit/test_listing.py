"""What lists name, on its way into the kernel."""

from __future__ import annotations

import asyncio

import pytest

from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.listed import Listed, Width
from amiguard.lists import Delta
from amiguard.model import Address, Phone, Target, Timestamp
from amiguard.ports import Interference
from tests.lab.lists import FAR, listed
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, RecordingFirewall, World

NAMED, NEIGHBOUR, OFFICE = "45.9.9.1", "45.9.9.2", Address(Target("45.9.10.7"))
LIST = [NAMED, "45.9.10.0/24", "2a00:1::/64"]
ONE = (Width(4, 32), 0x2D090901)
CROWD = tuple(f"45.10.{number >> 8}.{number & 255}" for number in range(500))
"""Allowed addresses: so many that a list is not looked through for them in one step of the loop."""


async def test_who_is_named_is_in_the_kernel_and_the_log_says_how_many_once_they_are() -> None:
    world = World()
    async with world.running() as guard:
        guard.listing.replace("voipbl", listed(LIST), {"garbage": 2})
        await until(lambda: world.journal.count(Action.FEED_UPDATED) == 1)
        assert world.firewall.lists.names("voipbl", NAMED)
        (line,) = world.journal.of(Action.FEED_UPDATED)
        assert line.message == "3 addresses and networks of the list voipbl are dropped"
        assert (line.fields["feed"], line.fields["entries"], line.fields["garbage"]) == ("voipbl", 3, 2)
        assert guard.listing.status("voipbl") == {"entries": 3, "spared": 0, "waiting": False}
        assert world.firewall.dropped == {}

        told = await guard.administration.offender(Address(Target("45.9.10.200")))
        assert told["listed"] == [{"feed": "voipbl", "address": "45.9.10.0/24"}]
        assert told["why"] == "it is not banned, but dropped: the list voipbl names 45.9.10.0/24"
        assert (await guard.administration.offender(ATTACKER))["listed"] == []


async def test_who_is_allowed_or_known_here_is_spared() -> None:
    world = World(allow=("45.9.9.0/30", "2a00::/16"))
    async with world.running() as guard:
        guard.presence.learn(Phone(OFFICE, "100", FAR), world.now)
        guard.presence.tell_trunk("provider", [Address(Target("45.9.11.1"))])
        guard.listing.replace("voipbl", listed([*LIST, NEIGHBOUR, "45.9.11.1", "45.9.12.1"]), {})
        await until(lambda: world.journal.count(Action.FEED_UPDATED) == 1)
        assert guard.listing.status("voipbl")["entries"] == 1
        assert guard.listing.status("voipbl")["spared"] == 5
        assert world.firewall.lists.names("voipbl", "45.9.12.1")

        await guard.listing.change(
            "office", Delta(put=[(*ONE, FAR), (Width(4, 24), 0x2D090A, FAR), (Width(4, 24), 1, FAR)])
        )
        await until(lambda: guard.listing.status("office")["entries"] == 1)


async def test_changes_of_single_networks_follow_each_other_into_the_kernel() -> None:
    world = World()
    async with world.running() as guard:
        guard.listing.replace("office", listed([NEIGHBOUR]), {})
        await guard.listing.change("office", Delta(put=[(*ONE, FAR)]))
        await until(lambda: world.firewall.lists.names("office", NAMED))
        await guard.listing.change("office", Delta(take=[ONE]))
        await guard.listing.change("office", Delta(put=[(Width(4, 24), 0x2D090A, world.now + 1_000)]))
        await until(lambda: world.firewall.lists.names("office", OFFICE))
        assert not world.firewall.lists.names("office", NAMED)
        assert world.firewall.lists.names("office", NEIGHBOUR)
        assert guard.listing.around(OFFICE)
        world.now += 1_000
        assert not guard.listing.around(OFFICE)


async def test_what_the_kernel_refuses_is_tried_again_and_told() -> None:
    world = World()
    async with world.running() as guard:
        world.firewall.lists.broken = True
        guard.listing.replace("voipbl", listed(LIST), {})
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) >= 1)
        assert world.journal.count(Action.FEED_UPDATED) == 0
        assert guard.listing.status("voipbl") == {"entries": 0, "spared": 0, "waiting": True}
        assert await guard.listing.dropped() == {}
        await guard.listing.change("voipbl", Delta(put=[(Width(4, 32), 0x2D090902, FAR)]))
        world.firewall.lists.broken = False
        await until(lambda: world.journal.count(Action.FEED_UPDATED) == 1)
        assert world.firewall.lists.names("voipbl", NAMED)
        assert world.firewall.lists.names("voipbl", NEIGHBOUR)


async def test_lists_are_put_back_whenever_the_firewall_is_laid_out_anew_and_follow_a_move() -> None:
    world = World()
    async with world.running() as guard:
        guard.listing.replace("voipbl", listed(LIST), {})
        await until(lambda: world.firewall.lists.names("voipbl", NAMED))
        world.firewall.lists.held.clear()
        world.firewall.broken = True
        world.firewall.disturbed.put_nowait(_flushed())
        await until(lambda: world.journal.count(Action.FIREWALL_FAILED) >= 1)
        world.firewall.broken = False
        await until(lambda: world.firewall.lists.names("voipbl", NAMED))

        elsewhere = RecordingFirewall(place="another table")
        await guard.relocate(elsewhere)
        await until(lambda: elsewhere.lists.names("voipbl", NAMED))


async def test_a_list_that_is_stale_names_nobody_and_one_that_is_renewed_goes_on() -> None:
    world = World()
    async with world.running() as guard:
        guard.listing.replace("voipbl", listed(LIST, end=world.now + 1_000), {})
        guard.listing.renew("voipbl", FAR)
        guard.listing.renew("unknown", FAR)
        await until(lambda: world.firewall.lists.names("voipbl", NAMED, world.now + 5_000))
        guard.listing.forget("voipbl")
        await until(lambda: not world.firewall.lists.names("voipbl", NAMED))
        assert guard.listing.status("voipbl")["entries"] == 0


async def test_a_list_that_comes_while_another_is_looked_through_never_names_who_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(allow=CROWD)
    brought: list[Listed] = []
    replace = world.firewall.lists.replace

    async def noted(name: str, names: Listed, now: Timestamp) -> None:
        brought.append(names)
        await replace(name, names, now)

    monkeypatch.setattr(world.firewall.lists, "replace", noted)
    async with world.running() as guard:
        guard.presence.learn(Phone(OFFICE, "100", FAR), world.now)
        await _half_looked_through(guard)
        guard.listing.replace("voipbl", listed([OFFICE, NAMED]), {})
        await until(lambda: guard.listing.status("voipbl") == {"entries": 1, "spared": 1, "waiting": False})
        assert not any(names.around(OFFICE, 0) for names in brought)


async def test_a_list_that_is_renewed_while_it_is_looked_through_has_one_end_for_each_that_it_names() -> None:
    world = World(allow=CROWD)
    async with world.running() as guard:
        await _half_looked_through(guard)
        guard.listing.renew("voipbl", FAR)
        await until(lambda: world.firewall.lists.names("voipbl", NEIGHBOUR))
        held = world.firewall.lists.held["voipbl"]
        assert [len(part.numbers) for part in held.parts.values()] == [1]
        assert [list(part.ends) for part in held.parts.values()] == [[FAR]]


def test_a_network_that_is_named_between_two_cuts_costs_no_other_its_place() -> None:
    names = listed([OFFICE, "45.9.10.0/24"])
    cuts = names.spare([], [OFFICE])
    next(cuts)
    names.put(Width(4, 24), 0x2D0909, FAR)
    list(cuts)
    assert not names.around(OFFICE, 0)
    assert names.around(Address(Target(NAMED)), 0)


async def _half_looked_through(guard: Guard) -> None:
    """Return while those who are allowed are being cut out of a list that names them and one more."""
    names = listed([*CROWD, NEIGHBOUR])
    guard.listing.replace("voipbl", names, {})
    while len(names) == len(CROWD) + 1:  # noqa: ASYNC110 -- step by step with the one that cuts
        await asyncio.sleep(0)
    assert len(names) > 1
    assert guard.listing.status("voipbl") == {"entries": 0, "spared": 0, "waiting": True}


def _flushed() -> Interference:
    return Interference("the table was deleted")
