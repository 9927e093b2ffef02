"""The daemon joins a fleet, moves to another and leaves it in reloads, by SIGHUP and as `amiguard reload` asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amiguard.control.client import RequestRefused
from amiguard.model import Target
from tests.e2e.test_reload import ATTACKER, NEIGHBOUR, Reloaded
from tests.lab.redis import Redis
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

LATER = "198.18.0.9"


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[Redis]:
    folder.mkdir()  # noqa: ASYNC240 -- nothing else runs
    async with Redis(folder) as server:
        yield server


async def test_a_fleet_is_joined_changed_and_left_without_losing_a_ban(place: Stage, tmp_path: Path) -> None:
    reloaded = Reloaded(place)
    async with redis(tmp_path / "first") as first, redis(tmp_path / "second") as second:
        daemon = await reloaded.up()
        assert (await daemon.status())["fleet"] is None
        await place.guess(ATTACKER, times=5)
        await daemon.told("ban")

        async def fleet() -> Any:
            return (await daemon.status())["fleet"]

        async def is_up_as(node: str) -> bool:
            told = await fleet()
            return bool(told and told["up"] and told["node"] == node and told["nodes"])

        changed = await reloaded.change(REDIS_URL=first.url, FLEET_NODE="pbx1")
        assert {"AMIGUARD_REDIS_URL", "AMIGUARD_FLEET_NODE"} <= {*changed}
        await until(lambda: is_up_as("pbx1"), 20, "the first fleet")
        await place.guess(NEIGHBOUR, times=5)
        await until(lambda: NEIGHBOUR in text(first, "amiguard"), 20, "a ban of the first fleet")

        reloaded.write(REDIS_URL=second.url, FLEET_NODE="pbx2", FLEET_PREFIX="branch")
        changed = await daemon.control.reload()
        assert {"AMIGUARD_REDIS_URL", "AMIGUARD_FLEET_NODE", "AMIGUARD_FLEET_PREFIX"} <= {*changed}
        await until(lambda: is_up_as("pbx2"), 20, "the second fleet")
        await place.guess(LATER, times=5)
        await until(lambda: LATER in text(second, "branch"), 20, "a ban of the second fleet")
        assert LATER not in text(first, "amiguard")

        problem = await reloaded.refused(REDIS_URL="http://198.51.100.1/", BANTIME="1h")
        assert "AMIGUARD_REDIS_URL" in problem
        with pytest.raises(RequestRefused, match="the old ones stay"):
            await daemon.control.reload()
        assert await is_up_as("pbx2")

        await reloaded.change(REDIS_URL="", BANTIME="")
        assert await fleet() is None
        everybody = {ATTACKER, NEIGHBOUR, LATER}
        assert {*place.site.kernel()} == everybody
        assert {ban["address"] async for ban in daemon.control.bans()} == everybody
        await daemon.control.unban(Target(LATER))
        assert LATER in text(second, "branch"), "who has left tells nothing"


def text(server: Redis, prefix: str) -> str:
    """Return the names in a fleet's snapshot of bans."""
    return str(server.do("HGETALL", f"{{{prefix}}}:bans"))
