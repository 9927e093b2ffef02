"""Each fault on its own: it is named, nobody who was banned gets in, others are still banned, and it is over."""

from __future__ import annotations

import pytest

from tests.chaos.arena import GROWTH, arena, idle
from tests.chaos.faults import FAULTS, Fault
from tests.lab.daemon import Daemon
from tests.lab.waiting import until

pytestmark = pytest.mark.netns

EACH = [pytest.param(name, marks=[pytest.mark.chaos] if fault.slow else []) for name, fault in FAULTS.items()]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", EACH)
async def test_a_fault_is_named_lets_nobody_in_and_is_over(name: str) -> None:
    fault = FAULTS[name]
    async with arena() as place:
        place.stage.site.settings |= fault.settings
        daemon = await place.up()
        await place.bans()
        await idle(daemon)
        before, over = daemon.resident(), len(daemon.lines(fault.over))

        begun = len(daemon.lines())
        async with fault.happens(place, daemon):
            await named(fault, daemon, begun)
            if fault.drops:
                await place.bans(heard=fault.heard)
                await place.still_drops()
        await daemon.told(fault.over, over + 1, fault.within)
        await place.bans()
        await place.still_drops()
        await idle(daemon)
        assert daemon.resident(peak=True) - before < GROWTH
        assert daemon.lines("internal-error") == []
        assert sorted(place.dropped) == sorted(daemon.banned())

        begun = len(daemon.lines())
        async with fault.happens(place, daemon):
            await named(fault, daemon, begun)
            assert await daemon.stop() == 0
            if fault.drops:
                await place.still_drops()
        again = await place.up()
        await place.still_drops()
        await place.bans()
        assert await again.stop() == 0


async def named(fault: Fault, daemon: Daemon, since: int) -> None:
    """Wait until a line of the log, from number `since` on, names the fault."""
    await until(lambda: any(map(fault.names, daemon.lines()[since:])), fault.within, f"{fault} is named")
