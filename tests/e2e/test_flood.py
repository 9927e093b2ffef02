"""Two hundred thousand events, as fast as the socket takes them."""

from __future__ import annotations

import pytest

from amiguard.errors import ControlError
from tests.lab.guessing import EVENTS, attacker
from tests.lab.stage import Stage
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

ALL = 200_000
ATTACKERS = [attacker(number) for number in range(2_000)]
GROWTH = 32 << 20


async def test_a_flood_loses_no_event_misses_no_attacker_and_takes_little_memory(place: Stage) -> None:
    daemon = await place.site.up()
    before = daemon.resident()

    await place.guess(*ATTACKERS, times=ALL // EVENTS // len(ATTACKERS))

    async def handled() -> bool:
        try:
            return bool((await daemon.status())["totals"]["events"] >= ALL)
        except ControlError:  # busy
            return False

    await until(handled, timeout=60, what="all events are handled")
    status = await daemon.status()
    assert status["totals"]["events"] == ALL
    assert status["totals"]["bans"] == len(ATTACKERS)
    assert set(place.site.kernel()) == set(ATTACKERS)
    assert sorted(daemon.banned()) == sorted(ATTACKERS)
    assert daemon.resident(peak=True) - before < GROWTH
    assert daemon.lines("internal-error", "ami-lost", "firewall-failed") == []
