"""The daemon is killed, the machine restarts: whoever was banned stays banned, and once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any

import aiohttp
import pytest

from tests.lab.daemon import Daemon
from tests.lab.guessing import attacker
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

FLUSH = {"nftables": ["nft", "flush", "ruleset"], "ipset": ["sh", "-c", "ipset flush; nft flush ruleset"]}
ATTACKERS = [attacker(number) for number in range(600)]


@pytest.mark.parametrize("bans", [1, 150, 400, 599])
async def test_kill_9_in_a_flood_lets_nobody_back_in_and_bans_nobody_twice(place: Stage, bans: int) -> None:
    daemon = await place.site.up()
    flood = asyncio.create_task(place.guess(*ATTACKERS, times=8))
    await until(lambda: len(daemon.lines("ban")) >= bans, timeout=20, what=f"{bans} bans")
    daemon.kill()
    await flood
    acknowledged = daemon.banned()

    dropped = set(place.site.kernel())
    assert set(acknowledged) <= dropped
    assert not await place.arrives(acknowledged[0])
    assert not await place.arrives(acknowledged[-1])
    again = await place.site.up()
    assert dropped <= set(place.site.kernel())

    await place.guess(*(set(ATTACKERS) - dropped), times=5)  # nothing of the others reaches Asterisk
    await until(lambda: set(place.site.kernel()) == set(ATTACKERS), timeout=20, what="all are banned")
    await idle(again)
    assert Counter(acknowledged + again.banned()).most_common(1)[0][1] == 1


async def test_kill_9_takes_nothing_from_the_plot_of_the_last_day_and_another_life_adds_to_it(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(*ATTACKERS[:3], times=5)
    await daemon.told("ban", 3)
    before = await plotted(place, failures=15, bans=3)
    with closing(sqlite3.connect(place.site.database)) as database:

        async def is_written() -> bool:
            return bool(database.execute("SELECT total(failures), total(bans) FROM minutes").fetchone() == (15, 3))

        await until(is_written, timeout=15, what="the plot is in the database")
    daemon.kill()

    again = await place.site.up()
    await again.told("ami-connected")
    assert await minutes_of(place) == before
    await place.guess(ATTACKERS[3], times=5)
    await plotted(place, failures=20, bans=4)
    assert await again.stop() == 0
    await place.site.up()
    await plotted(place, failures=20, bans=4)


async def test_after_a_reboot_every_ban_is_back_before_the_first_event(place: Stage) -> None:
    daemon = await place.site.up()
    await place.guess(*ATTACKERS, times=5)
    await daemon.told("ban", len(ATTACKERS))
    await idle(daemon)
    daemon.kill()
    place.namespace.run(["nft", "delete", "table", "inet", "amiguard"])
    assert await place.arrives(ATTACKERS[0])

    again = place.site.start()

    (ready,) = await again.told("ready")
    assert ready["amiguard.bans"] == len(ATTACKERS)
    left = place.site.kernel()
    assert set(left) == set(ATTACKERS)
    assert all(seconds is not None and 3500 < seconds <= 3600 for seconds in left.values())
    await again.told("ami-connected")
    actions = [line["event.action"] for line in again.lines()]
    assert actions.index("ready") < actions.index("ami-connected")
    assert again.lines("ban") == []
    assert not await place.arrives(ATTACKERS[0])


async def test_a_daemon_that_is_killed_again_and_again_forgets_nobody(place: Stage) -> None:
    for number in range(3):
        daemon = await place.site.up()
        await place.guess(ATTACKERS[number], times=5)
        await daemon.told("ban")
        await idle(daemon)
        daemon.kill()
    place.namespace.run(["nft", "flush", "ruleset"])

    await place.site.up()

    assert set(place.site.kernel()) == set(ATTACKERS[:3])


@pytest.mark.parametrize("firewall", ["nftables", "ipset"])
async def test_a_ban_that_kill_9_catches_before_the_database_is_known_again_and_healed(
    place: Stage, firewall: str
) -> None:
    place.site.settings |= {"FIREWALL": firewall, "FIREWALL_OWNER": "false"}
    daemon = await place.site.up()
    with closing(sqlite3.connect(place.site.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await place.guess(ATTACKERS[0], times=5)
        await daemon.told("ban")
        daemon.kill()
    assert not await place.arrives(ATTACKERS[0])

    again = await place.site.up()

    (line,) = await again.told("bans-adopted")
    assert line["amiguard.bans"] == 1
    (ban,) = [ban async for ban in again.control.bans()]
    assert (ban["address"], ban["reason"], ban["origin"]) == (ATTACKERS[0], "kernel", "kernel")
    assert ban["remaining"] == pytest.approx(3600, abs=60)
    assert again.lines("ban") == []
    await idle(again)
    place.namespace.run([*FLUSH[firewall]])
    await again.told("firewall-healed")
    assert not await place.arrives(ATTACKERS[0])
    assert await again.stop() == 0
    third = await place.site.up()
    assert [ban["address"] async for ban in third.control.bans()] == [ATTACKERS[0]]
    assert third.lines("bans-adopted") == []


async def minutes_of(place: Stage) -> list[dict[str, Any]]:
    """Return what the page plots."""
    http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(place.site.folder / "control.sock")))
    async with http, http.get("http://amiguard/api/v1/timeline") as answer:
        told = await answer.json()
        return list(told["minutes"])


async def plotted(place: Stage, **totals: int) -> list[dict[str, Any]]:
    """Return what the page plots once it adds up to this."""

    async def adds_up() -> bool:
        minutes = await minutes_of(place)
        return {name: sum(minute[name] for minute in minutes) for name in totals} == totals

    await until(adds_up, what=f"the plot tells of {totals}")
    return await minutes_of(place)


async def idle(daemon: Daemon) -> None:
    """Wait until every decision is in the kernel and in the database."""

    async def nothing_waits() -> bool:
        status = await daemon.status()
        return bool(status["store"]["waiting"] == status["bans"]["waiting"] == 0)

    await until(nothing_waits, what="nothing waits")
