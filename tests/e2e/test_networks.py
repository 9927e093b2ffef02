"""A whole network is cut off in the real kernel, and who must not be is let through."""

from __future__ import annotations

import pytest

from amiguard.model import Target
from tests.lab.stage import stage

pytestmark = pytest.mark.netns

OFFENDERS = [f"198.18.9.{number}" for number in (1, 2, 3)]
ALLOWED, NEIGHBOUR, STRANGER = "198.18.9.77", "198.18.9.50", "198.18.10.50"
PIECES = 8
"""Networks that are a /24 without one address: a /25, a /26, and so on."""


async def test_a_network_of_offenders_is_dropped_but_for_who_is_allowed_before_or_after() -> None:
    async with stage(NETWORK4_OFFENDERS="3", IGNOREIP=ALLOWED) as place:
        daemon = await place.site.up()
        for offender in OFFENDERS:
            await place.guess(offender, times=5)
        bans = await daemon.told("ban", len(OFFENDERS) + PIECES)
        pieces = [line for line in bans if line["event.reason"] == "network"]

        assert len(pieces) == PIECES
        assert await place.arrives(ALLOWED)
        assert not await place.arrives(NEIGHBOUR)
        assert await place.arrives(STRANGER)

        await daemon.control.allow(Target(NEIGHBOUR), "a customer")
        assert await place.arrives(NEIGHBOUR)
        assert not await place.arrives("198.18.9.51")
        assert await daemon.stop() == 0
