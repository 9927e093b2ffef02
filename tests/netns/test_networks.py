from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from amiguard.firewalls.nftables import Nftables
from tests.lab.waiting import until
from tests.netns.wire import (
    FAR_V4,
    FAR_V4_NEIGHBOUR,
    FAR_V6,
    FAR_V6_NEIGHBOUR,
    V4,
    V6,
    Wire,
    ban,
    targets,
)

pytestmark = pytest.mark.netns


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("198.51.100.0/24", FAR_V4, FAR_V4_NEIGHBOUR),
        ("198.51.100.192/27", FAR_V4, V4),
        ("198.51.100.200/31", FAR_V4, V4),
        ("198.51.100.0/23", FAR_V4_NEIGHBOUR, V4),
        ("128.0.0.0/1", FAR_V4, FAR_V6),
        ("2001:db8:1:2::/64", FAR_V6, FAR_V6_NEIGHBOUR),
        ("2001:db8:1::/48", FAR_V6_NEIGHBOUR, V6),
        ("2001:db8:1:2:3::/83", FAR_V6, FAR_V6_NEIGHBOUR),
        ("2001:db8:1:2:3::4/127", FAR_V6, FAR_V6_NEIGHBOUR),
    ],
)
async def test_a_banned_network_is_cut_off_and_what_lies_beside_it_is_not(
    wire: Wire, firewall: Nftables, network: str, inside: str, outside: str
) -> None:
    await firewall.ban([ban(network, 60_000)], 0)
    await wire.dropped(inside)
    await wire.passes(outside)
    await firewall.unban(targets(network))
    await wire.passes(inside)


async def test_the_whole_address_space_can_be_banned_but_for_the_allowed(wire: Wire) -> None:
    firewall = Nftables()
    await firewall.start(targets(V4, V6), [ban("0.0.0.0/0"), ban("::/0")], 0)
    await wire.dropped(FAR_V4, FAR_V6)
    await wire.passes(V4, V6)
    await firewall.close()


async def test_networks_and_addresses_that_overlap_are_banned_in_any_order(wire: Wire, firewall: Nftables) -> None:
    nested = [FAR_V4, "198.51.100.0/24", "198.51.0.0/16", "198.51.100.192/26", "198.0.0.0/8", "198.51.100.0/23"]
    await firewall.ban([ban(one, 60_000) for one in nested], 0)
    await firewall.unban(targets(*nested))
    await wire.passes(FAR_V4)
    for one in reversed(nested):
        await firewall.ban([ban(one, 60_000)], 0)
    await firewall.unban(targets(*nested[1:]))
    await wire.dropped(FAR_V4)
    await wire.passes(FAR_V4_NEIGHBOUR)


async def test_a_short_ban_in_a_long_one_neither_shortens_nor_outlives_it(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban("198.51.100.0/24", 60_000), ban("2001:db8:1:2::/64", 60_000)], 0)
    await firewall.ban([ban(FAR_V4, 100), ban(FAR_V6, 100)], 0)
    await until(lambda: wire.elements("banned4") == wire.elements("banned6") == {})
    await wire.dropped(FAR_V4, FAR_V6)


@pytest.mark.parametrize("outer", [True, False])
@pytest.mark.parametrize("inner", [True, False])
async def test_bans_inside_each_other_end_each_by_itself_whatever_their_strengths(
    wire: Wire, firewall: Nftables, outer: bool, inner: bool
) -> None:
    networks = [("198.51.96.0/19", 60_000, outer), ("198.51.100.192/27", 100, inner), (FAR_V4, 60_000, inner)]
    networks += [("2001:db8::/47", 60_000, outer), ("2001:db8:1:2:3::/83", 100, inner), (FAR_V6, 60_000, inner)]
    await firewall.ban([ban(target, end, absolute=absolute) for target, end, absolute in networks], 0)
    name = f"{'banned' if inner else 'unproven'}4_27"
    await until(lambda: wire.elements(name) == {}, what="the narrow ban ends")
    await wire.dropped(FAR_V4, FAR_V6)
    await firewall.unban(targets("198.51.96.0/19", "2001:db8::/47"))
    await wire.dropped(FAR_V4, FAR_V6)
    await firewall.unban(targets(FAR_V4, FAR_V6))
    await wire.passes(FAR_V4, FAR_V6, FAR_V4_NEIGHBOUR, FAR_V6_NEIGHBOUR)


async def test_every_prefix_length_of_both_families_works_in_both_strengths(wire: Wire, firewall: Nftables) -> None:
    for source in (FAR_V4, FAR_V6):
        for length in range(1, 128 if ":" in source else 32):
            network = str(ip_network(f"{source}/{length}", strict=False))
            await firewall.ban([ban(network, absolute=length % 2 == 0)], 0)
            await wire.dropped(source)
            await firewall.unban(targets(network))
    await wire.passes(FAR_V4, FAR_V6)


async def test_the_ban_of_an_address_stays_when_its_network_is_unbanned(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban("198.51.100.0/23"), ban(FAR_V4)], 0)
    await firewall.unban(targets("198.51.100.0/23"))
    await wire.dropped(FAR_V4)
    await wire.passes(FAR_V4_NEIGHBOUR)


async def test_a_network_banned_again_gets_the_new_end(wire: Wire, firewall: Nftables) -> None:
    for until_ in (600_000, 60_000):
        await firewall.ban([ban("198.51.100.0/24", until_), ban("198.51.0.0/16", 700_000)], 0)
    assert wire.elements("banned4_24")["198.51.100.0"]["timeout"] == 60


async def test_prefix_lengths_first_used_at_the_same_time_all_get_their_rule(wire: Wire, firewall: Nftables) -> None:
    nested = [str(ip_network(f"{FAR_V4}/{length}", strict=False)) for length in range(8, 32)]
    await asyncio.gather(*(firewall.ban([ban(one)], 0) for one in [*nested, *nested]))
    looked_up = [part["match"]["right"] for rule in wire.rules() for part in rule if "match" in part]
    assert len(looked_up) == len(set(looked_up))
    assert {f"@banned4_{length}" for length in range(8, 32)} <= set(looked_up)
    await wire.dropped(FAR_V4)


async def test_banned_networks_survive_a_restart_that_does_not_know_of_them(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban("198.51.100.0/24", 60_000), ban("2001:db8:1:2::/64", 60_000)], 0)
    await firewall.close()
    next_process = Nftables()
    await next_process.start([], [], 0)
    await wire.dropped(FAR_V4, FAR_V6)
    await next_process.unban(targets("198.51.100.0/24", "2001:db8:1:2::/64"))
    await wire.passes(FAR_V4, FAR_V6)
    await next_process.close()
