"""What the kernel counts: in all, and for each ban."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from amiguard.firewalls.nftables import Nftables
from amiguard.model import Drops
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, Wire, ban, targets

pytestmark = pytest.mark.netns
UDP_OVER_IP = 28
UDP_OVER_IPV6 = 48


@pytest.fixture
async def counting(wire: Wire) -> AsyncIterator[Nftables]:
    firewall = Nftables(counters=True)
    await firewall.start([], [], 0)
    yield firewall
    await firewall.close()


async def test_packets_and_bytes_are_counted_for_each_ban_and_in_all(wire: Wire, counting: Nftables) -> None:
    await counting.ban([ban(V4), ban(V6, absolute=False), ban(V4_NEIGHBOUR)], 0)
    await wire.dropped(V4, V4, V6)

    size4, size6 = (UDP_OVER_IP + len(f"{V4} 0"), UDP_OVER_IPV6 + len(f"{V6} 0"))
    assert await counting.drops(targets(V4, V6, V4_NEIGHBOUR, "203.0.113.1")) == {
        V4: Drops(2, 2 * size4),
        V6: Drops(1, size6),
        V4_NEIGHBOUR: Drops(0, 0),
    }
    assert await counting.total_drops() == Drops(3, 2 * size4 + size6)


async def test_what_was_counted_is_kept_when_a_ban_gets_a_new_end_or_strength_and_over_a_restart(
    wire: Wire, counting: Nftables
) -> None:
    await counting.ban([ban(V4, 60_000, absolute=False), ban("2001:db8::/64")], 0)
    await wire.dropped(V4, V6)
    counted = await counting.drops(targets(V4, "2001:db8::/64"))
    assert [one.packets for one in counted.values()] == [1, 1]
    for bans in ([ban(V4, 90_000, absolute=False)], [ban(V4)], [ban("2001:db8::/64", 60_000, absolute=False)]):
        await counting.ban(bans, 0)
        assert await counting.drops(targets(V4, "2001:db8::/64")) == counted

    total = await counting.total_drops()
    await counting.close()
    next_process = Nftables(counters=True)
    await next_process.start([], [ban(V4, 60_000)], 0)
    assert await next_process.drops(targets(V4, "2001:db8::/64")) == counted
    assert await next_process.total_drops() == total
    await wire.dropped(V4)
    assert (await next_process.drops(targets(V4)))[targets(V4)[0]].packets == 2
    await next_process.close()


async def test_bans_are_counted_from_the_next_start_on_with_the_option_and_without_it_no_more(
    wire: Wire, firewall: Nftables
) -> None:
    await firewall.ban([ban(V4)], 0)
    assert await firewall.drops(targets(V4)) == {}
    await firewall.close()
    for counters in (True, False, True):
        restarted = Nftables(counters=counters)
        await restarted.start([], [ban(V4)], 0)
        await wire.dropped(V4)
        assert (await restarted.drops(targets(V4))).keys() == (set(targets(V4)) if counters else set())
        await restarted.close()


async def test_a_thousand_counters_are_read_at_once(wire: Wire, counting: Nftables) -> None:
    many = [f"10.0.{number >> 8}.{number & 255}" for number in range(1_000)]
    await counting.ban([ban(one) for one in many], 0)
    assert await counting.drops(targets(*many)) == dict.fromkeys(targets(*many), Drops(0, 0))


async def test_rules_written_anew_keep_the_total(wire: Wire, counting: Nftables) -> None:
    await counting.ban([ban(V4)], 0)
    await wire.dropped(V4)
    total = await counting.total_drops()
    for length in (8, 12, 24):
        await counting.ban([ban(f"10.0.0.0/{length}"), ban(f"10.0.0.0/{length + 1}", absolute=False)], 0)
    assert await counting.total_drops() == total
