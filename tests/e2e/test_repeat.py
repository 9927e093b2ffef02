"""Who comes back after his ban, over a restart of the daemon too."""

from __future__ import annotations

import pytest

from tests.lab.stage import stage

pytestmark = pytest.mark.netns

ATTACKER = "198.18.7.1"


@pytest.mark.parametrize(
    ("settings", "bantimes"),
    [
        ({"BANTIME_INCREMENT": "true", "BANTIME_FACTOR": "100"}, [1, 100]),
        ({"RECIDIVE": "2", "BANTIME_MAXTIME": "-1"}, [1, -1]),
        ({}, [1, 1]),
    ],
)
async def test_a_second_ban_is_as_long_as_the_settings_say(settings: dict[str, str], bantimes: list[int]) -> None:
    async with stage(BANTIME="1s", **settings) as place:
        for bantime in bantimes:
            daemon = await place.site.up()
            await place.guess(ATTACKER, times=5)
            (ban,) = await daemon.told("ban")
            assert ban["amiguard.bantime"] == bantime
            if bantime == 1:
                await daemon.told("expire")
                assert await place.arrives(ATTACKER)
            else:
                assert not await place.arrives(ATTACKER)
            assert await daemon.stop() == 0
