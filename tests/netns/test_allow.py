from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amiguard.firewalls.nftables import Nftables
from amiguard.model import Target, target_of
from tests.netns.wire import Wire

pytestmark = pytest.mark.netns
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
    deadline=None,
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
