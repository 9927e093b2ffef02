"""Faults in any number and order, in floods, until the daemon ends somewhere in between: `make chaos`."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import AsyncExitStack
from itertools import islice

import pytest

from tests.chaos.arena import Arena, arena, idle
from tests.chaos.faults import FAULTS
from tests.lab.daemon import Daemon
from tests.lab.waiting import until

pytestmark = [pytest.mark.netns, pytest.mark.chaos]

SEED = int(os.environ.get("AMIGUARD_CHAOS_SEED") or random.randrange(1_000_000))
SECONDS = float(os.environ.get("AMIGUARD_CHAOS_SECONDS") or 300)
"""For how long new rounds begin."""

RECOVERED = 120.0
"""Seconds until all is well again after the last fault of a round: a refused login waits for a minute."""


@pytest.mark.timeout(SECONDS + 10 * RECOVERED)
async def test_whatever_happens_nobody_who_was_banned_gets_in() -> None:
    print(f"AMIGUARD_CHAOS_SEED={SEED}")
    chance, end = random.Random(SEED), time.monotonic() + SECONDS
    async with arena() as place:
        place.stage.site.settings["FIREWALL_OWNER"] = "false"
        daemon = await place.up()
        await place.bans()
        while time.monotonic() < end:
            daemon = await _round(place, daemon, chance)
        assert await daemon.stop() == 0
        assert {address for life in place.stage.site.lives for address in life.banned()} >= set(place.dropped)
        for life in place.stage.site.lives:  # the next life may ban again whom the database did not know
            assert len(set(life.banned())) == len(life.banned())


async def _round(place: Arena, daemon: Daemon, chance: random.Random) -> Daemon:
    """Let some faults happen in a flood, and the daemon end in it, or not; return who lives when all is well again."""
    faults = _some(chance)
    crowd = list(islice(place.attackers, chance.randrange(10, 200)))
    ending = chance.choice(["killed", "stopped", "alive"])
    async with AsyncExitStack() as stack:
        for name in faults:
            print(f"{name}; ", end="")
            await stack.enter_async_context(FAULTS[name].happens(place, daemon))
        heard = all(FAULTS[name].heard for name in faults)
        flood = asyncio.create_task(_flood(place, crowd, heard=heard))
        if all(FAULTS[name].drops for name in faults):
            wanted = chance.randrange(len(crowd))
            await until(lambda: len(_dropped(place, crowd)) >= wanted, RECOVERED, f"{wanted} of the crowd are dropped")
            await until(
                lambda: _dropped(place, place.dropped) == set(place.dropped), RECOVERED, "what was taken is back"
            )
            await place.still_drops()
        if ending == "killed":
            daemon.kill()
        elif ending == "stopped":
            assert await daemon.stop() == 0
        await flood
    print(f"{ending}, {len(_dropped(place, crowd))} of {len(crowd)} dropped")
    if ending != "alive":
        daemon = await place.up()
    await _well(place, daemon)
    await place.stage.guess(*(set(crowd) - _dropped(place, crowd)), times=5)  # nothing of the others reaches Asterisk
    await until(lambda: _dropped(place, crowd) == set(crowd), RECOVERED, "the whole crowd is dropped")
    place.dropped += crowd
    await place.still_drops()
    await idle(daemon)
    known = await _known(daemon)
    assert known >= set(place.dropped)
    assert daemon.lines("internal-error") == []
    return daemon


def _some(chance: random.Random) -> list[str]:
    """Return one to three faults that can happen at the same time, first those that begin with a ban."""
    chosen: dict[str, str] = {}
    for name in chance.sample(sorted(FAULTS), chance.randrange(1, 4)):
        chosen.setdefault(FAULTS[name].group, name)
    return sorted(chosen.values(), key=lambda name: (FAULTS[name].group == "ami", not FAULTS[name].drops))


async def _flood(place: Arena, crowd: list[str], *, heard: bool) -> None:
    """Let everybody of the crowd fail; AMI tells of it where it is `heard`, else the log."""
    for _ in range(5):
        if heard:
            await place.stage.guess(*crowd)
        else:
            place.write(*(f"{place.failed(address)}\n" for address in crowd))
        await asyncio.sleep(0)


def _dropped(place: Arena, crowd: list[str]) -> set[str]:
    return set(crowd).intersection(place.stage.site.kernel())


async def _known(daemon: Daemon) -> set[str]:
    """Return whom the daemon knows to be banned; a listing of them may be a second old."""
    known = set[str]()

    async def complete() -> bool:
        known.update([ban["address"] async for ban in daemon.control.bans()])
        return bool(len(known) == (await daemon.status())["bans"]["active"])

    await until(complete, what="all bans are listed")
    return known


async def _well(place: Arena, daemon: Daemon) -> None:
    """Wait until everything works again."""

    async def ready() -> bool:
        status = await daemon.status()
        hears = bool(place.stage.server.listeners)  # it may not know yet that its connection was broken
        return hears and all(source["up"] for source in status["sources"]) and not status["bans"]["waiting"]

    await until(ready, RECOVERED, "every source is up and no ban waits")
