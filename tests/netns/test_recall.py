"""What the kernel drops is told to whoever asks, also to one who did not put it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.nftables import Nftables
from amiguard.model import Target
from amiguard.ports import Firewall
from tests.netns.wire import FAR_V4, FAR_V6, V4, V4_NEIGHBOUR, V6, Wire, ban

pytestmark = pytest.mark.netns

FIREWALLS = pytest.mark.parametrize("make", [Nftables, Ipset])
MANY = 3_000
Told = dict[Target, tuple[int | None, bool]]


async def told(firewall: Firewall) -> Told:
    found: Told = {}

    def take(target: Target, left: int | None, absolute: bool) -> None:
        found[target] = left, absolute

    await firewall.recall(take)
    return found


@FIREWALLS
async def test_the_next_firewall_tells_of_every_ban_with_its_strength_and_what_is_left(
    wire: Wire, make: Callable[[], Firewall]
) -> None:
    bans = [
        ban(V4, 60_000),
        ban(V4_NEIGHBOUR),
        ban(FAR_V4, 90_000, absolute=False),
        ban("203.0.113.0/24", 90_000, absolute=False),
        ban(V6),
        ban(FAR_V6, 60_000, absolute=False),
        ban("2001:db8:7::/48"),
    ]
    first = make()
    await first.start([], bans, 0)
    await first.close()

    second = make()
    await second.start([], [], 0)
    found = await told(second)
    await second.close()

    assert found.keys() == {one.target for one in bans}
    for one in bans:
        left, absolute = found[one.target]
        assert absolute is one.absolute
        assert (left is None) is (one.until is None)
        assert left is None or one.until is None or one.until - 20_000 < left <= one.until


@FIREWALLS
async def test_bans_go_on_while_a_long_list_is_told(wire: Wire, make: Callable[[], Firewall]) -> None:
    firewall = make()
    many = [ban(f"10.1.{number >> 8}.{number & 255}", 600_000) for number in range(MANY)]
    await firewall.start([], many, 0)

    found, _ = await asyncio.gather(told(firewall), firewall.ban([ban(V4, 60_000)], 0))
    afterwards = await told(firewall)
    await firewall.close()

    assert {one.target for one in many} <= found.keys()
    assert V4 in afterwards
