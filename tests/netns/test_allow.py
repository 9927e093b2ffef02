from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amiguard.firewalls.nftables import Nftables
from amiguard.model import Target, target_of
from tests.lab.steps import BREATH, steps
from tests.netns.wire import FAR_V4, FAR_V4_NEIGHBOUR, V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns
MANY = [Target(f"{10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/25") for number in range(20_000)]
CROWDED = st.integers(0, 60) | st.integers(2**32 - 60, 2**32 - 1) | st.integers(0, 2**32 - 1)


def covered(parts: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge ranges that overlap or touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(parts):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def printed_range(text: str) -> tuple[int, int]:
    """Read an element as nft prints it: an address, a network or a range."""
    first, _, last = text.partition("-")
    if last:
        return int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last))
    network = ipaddress.ip_network(text)
    return int(network[0]), int(network[-1])


@given(st.lists(st.tuples(CROWDED, st.integers(0, 32)), max_size=15))
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each start replaces what the one before left
)
def test_the_kernel_allows_exactly_what_the_allowlist_holds(wire: Wire, drawn: list[tuple[int, int]]) -> None:
    networks = [ipaddress.ip_network((value, prefix), strict=False) for value, prefix in drawn]

    async def start(allow: list[Target]) -> None:
        firewall = Nftables()
        await firewall.start(allow, [], 0)
        await firewall.close()

    asyncio.run(start([target_of(network) for network in networks]))
    held = covered(printed_range(text) for text in wire.elements("allow4"))
    assert held == covered((int(network[0]), int(network[-1])) for network in networks)


async def test_who_is_allowed_at_run_time_gets_through_every_ban_and_is_dropped_again_afterwards(
    wire: Wire, firewall: Nftables
) -> None:
    await firewall.ban([ban(V4), ban("198.51.100.0/24"), ban(V6), ban(V4_NEIGHBOUR)], 0)
    await wire.dropped(V4, FAR_V4, V6, V4_NEIGHBOUR)

    await firewall.allow(targets(V4, FAR_V4, "2001:db8::10"))
    await wire.passes(V4, FAR_V4, V6, FAR_V4_NEIGHBOUR)
    await wire.dropped(V4_NEIGHBOUR)

    await firewall.allow(targets(V4_NEIGHBOUR))
    await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
    await wire.dropped(V4, FAR_V4, V6)


async def test_no_packet_of_an_allowed_source_is_lost_while_others_are_allowed(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban("192.0.2.0/24")], 0)
    await firewall.allow(targets(V4))
    sent = set()
    for number in range(50):
        await firewall.allow(targets(V4, f"10.0.0.{number}", f"10.{number}.0.0/16"))
        sent.add(wire.send(V4))
    await wire.passes(V4)
    assert sent <= wire.received()


async def test_twenty_thousand_networks_are_allowed_in_one_transaction(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4)], 0)
    await firewall.allow([*MANY, Target(V4)])
    await wire.passes(V4)
    await firewall.allow(MANY)
    await wire.dropped(V4)


async def test_the_loop_goes_on_while_the_kernel_takes_twenty_thousand_networks(firewall: Nftables) -> None:
    with steps() as taken:
        await asyncio.create_task(firewall.allow(MANY))
        await asyncio.create_task(firewall.start(MANY, [], 0))

    assert max(taken) < BREATH


async def test_who_stops_waiting_for_many_networks_leaves_a_firewall_that_works(wire: Wire, firewall: Nftables) -> None:
    for delay in (0.1, 0.15, 0.2, 0.3):
        allowing = asyncio.create_task(firewall.allow(MANY))
        await asyncio.sleep(delay)
        allowing.cancel()
        await asyncio.wait({allowing})
        await firewall.ban([ban(FAR_V4)], 0)

        await wire.dropped(FAR_V4)
