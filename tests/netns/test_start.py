from __future__ import annotations

import asyncio
import subprocess
from errno import EEXIST, EOPNOTSUPP, EPERM
from ipaddress import ip_address

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.nftables import Nftables
from tests.lab.waiting import until
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns
ENOUGH = 30_000
CHAINS = ("prerouting", "prerouting_unproven", "banned", "unproven", "banned4", "banned6", "unproven4", "refused")


async def restart(allow: tuple[str, ...] = (), bans: tuple[str, ...] = ()) -> None:
    firewall = Nftables()
    await firewall.start(targets(*allow), [ban(one) for one in bans], 0)
    await firewall.close()


async def test_bans_outlive_the_process_and_the_next_one_keeps_them(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4, 60_000), ban(V6)], 0)
    await firewall.close()
    await wire.dropped(V4, V6)
    await restart(bans=(V4_NEIGHBOUR,))
    assert set(wire.elements("banned4")) == {V4, V4_NEIGHBOUR}
    assert wire.elements("banned4")[V4]["expires"] > 30
    await wire.dropped(V4, V4_NEIGHBOUR, V6)


async def test_start_restores_bans_with_what_remains_of_them(wire: Wire) -> None:
    firewall = Nftables()
    await firewall.start([], [ban(V4, 90_000), ban(V6, 30_000), ban(V4_NEIGHBOUR, 20_000)], now=30_000)
    assert wire.elements("banned4")[V4]["timeout"] == 60
    assert set(wire.elements("banned4")) == {V4}
    assert wire.elements("banned6") == {}
    await firewall.close()


async def test_start_replaces_the_allowlist(wire: Wire) -> None:
    await restart(allow=(V4, V6), bans=(V4, V6, V4_NEIGHBOUR, V6_NEIGHBOUR))
    await wire.passes(V4, V6)
    await restart(allow=(V4_NEIGHBOUR, V6_NEIGHBOUR))
    assert set(wire.elements("allow4")) == {V4_NEIGHBOUR}
    await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
    await wire.dropped(V4, V6)


async def test_allowed_networks_may_overlap_repeat_and_touch_the_ends_of_the_address_space(wire: Wire) -> None:
    allow = ("10.0.0.0/8", "10.1.2.3", "10.0.0.0/8", "255.255.255.255", "0.0.0.0/32", "192.0.2.10", "192.0.2.11")
    await restart(allow=(*allow, "ffff::/16", "::/128", "2001:db8::/32", "2001:db8::10"))
    assert set(wire.elements("allow4")) == {"0.0.0.0", "10.0.0.0/8", "192.0.2.10/31", "255.255.255.255"}
    assert set(wire.elements("allow6")) == {"::", "2001:db8::/32", "ffff::/16"}


async def test_rules_are_the_same_after_ten_starts(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban("10.0.0.0/8"), ban("2001:db8:5::/48")], 0)
    before = wire.nft("list", "chains"), [wire.rules(chain) for chain in CHAINS]
    await firewall.close()
    for _ in range(10):
        await restart()
    assert (wire.nft("list", "chains"), [wire.rules(chain) for chain in CHAINS]) == before
    assert [len(rules) for rules in before[1]] == [3, 5, 2, 2, 2, 2, 1, 2]


@pytest.mark.parametrize("damage", ["flush ruleset", "delete table inet amiguard", "flush chain inet amiguard refused"])
async def test_start_repairs_what_somebody_removed(wire: Wire, firewall: Nftables, damage: str) -> None:
    bans = [ban(V4), ban("2001:db8::/80"), ban(V6)]
    await firewall.start(targets(V6), bans, 0)
    wire.server.run(["nft", damage])
    await wire.passes(V4, V6, V6_NEIGHBOUR)
    await firewall.start(targets(V6), bans, 0)
    await wire.dropped(V4, V6_NEIGHBOUR)
    await wire.passes(V6, V4_NEIGHBOUR)


async def test_a_hundred_thousand_bans_are_all_in_the_kernel_and_others_run_meanwhile(wire: Wire) -> None:
    wanted = [str(ip_address((100 << 24) + number * 7)) for number in range(100_000)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    firewall = Nftables()
    await firewall.start([], [ban(V4, 10**9), *(ban(one, 10**9) for one in wanted)], 0)
    running.cancel()
    await firewall.close()
    assert turns > 50
    everybody = {V4, *wanted}
    # while the kernel enlarges the hash in the background, a dump names some elements twice and others never
    await until(lambda: set(wire.elements("banned4")) == everybody, timeout=60)
    await wire.dropped(V4)


@pytest.mark.parametrize(
    "foreign",
    [
        "chain prerouting { type filter hook input priority 0; }",
        "chain prerouting { type filter hook prerouting priority 0; }",
        "chain prerouting { }",
        "set banned4 { type ipv6_addr; flags timeout; }",
        "set allow4 { type ipv4_addr; }",
    ],
)
async def test_a_foreign_table_of_our_name_is_reported_and_left_alone(wire: Wire, foreign: str) -> None:
    wire.server.run(["nft", "-f", "-"], stdin=f"table inet amiguard {{ {foreign}\n}}\n")
    before = wire.nft("list", "ruleset")
    firewall = Nftables()
    with pytest.raises(FirewallError, match="a table inet amiguard is there that is not amiguard's") as raised:
        await firewall.start([], [ban(V4)], 0)
    assert raised.value.errno in {EEXIST, EOPNOTSUPP}
    await firewall.close()
    assert wire.nft("list", "ruleset") == before
    await wire.passes(V4)


async def test_a_table_that_another_program_owns_is_reported(wire: Wire) -> None:
    owner = wire.server.popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert owner.stdin
    owner.stdin.write(b"add table inet amiguard { flags owner; }\n")
    owner.stdin.flush()
    await until(lambda: len(wire.nft("list", "tables")) > 1)
    try:
        firewall = Nftables()
        with pytest.raises(FirewallError, match="another program owns the table inet amiguard") as raised:
            await firewall.start([], [], 0)
        assert raised.value.errno == EPERM
        await firewall.close()
    finally:
        owner.communicate()


async def test_two_firewalls_work_side_by_side_in_tables_of_their_own(wire: Wire, firewall: Nftables) -> None:
    other = Nftables("amiguard-b")
    await asyncio.gather(other.start([], [ban(V6)], 0), firewall.start([], [ban(V4)], 0))
    numbers = range(1, 200)
    await asyncio.gather(
        *(one.ban([ban(f"10.{net}.0.{last}")], 0) for last in numbers for net, one in enumerate([firewall, other]))
    )
    assert set(wire.elements("banned4")) == {V4, *(f"10.0.0.{last}" for last in numbers)}
    assert set(wire.elements("banned4", "amiguard-b")) == {f"10.1.0.{last}" for last in numbers}
    await wire.dropped(V4)
    payload = wire.send(V6)
    await wire.passes(V6_NEIGHBOUR)
    assert payload not in wire.received()
    await other.close()
