from __future__ import annotations

import socket
from errno import ENOENT

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.nftables import Nftables
from tests.lab.waiting import until
from tests.netns.wire import PORT, SERVERS, V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns
FAMILIES = pytest.mark.parametrize(
    ("banned", "neighbour", "name"), [(V4, V4_NEIGHBOUR, "banned4"), (V6, V6_NEIGHBOUR, "banned6")]
)


@FAMILIES
async def test_a_banned_address_is_cut_off_and_its_neighbour_is_not(
    wire: Wire, firewall: Nftables, banned: str, neighbour: str, name: str
) -> None:
    await wire.passes(banned, neighbour)
    await firewall.ban([ban(banned, 60_000)], 0)
    assert set(wire.elements(name)) == {banned}
    await wire.dropped(banned)
    await wire.passes(neighbour)


@FAMILIES
async def test_an_unbanned_address_gets_through_again(
    wire: Wire, firewall: Nftables, banned: str, neighbour: str, name: str
) -> None:
    await firewall.ban([ban(banned, 60_000), ban(neighbour, 60_000)], 0)
    await firewall.unban(targets(banned))
    assert set(wire.elements(name)) == {neighbour}
    await wire.passes(banned)
    await wire.dropped(neighbour)


async def test_unban_of_what_is_not_banned_or_named_twice_is_no_error(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4)], 0)
    await firewall.unban(targets(V4, V4, V6, "203.0.113.0/24", "203.0.113.1"))
    await firewall.unban(targets(V4))
    assert wire.elements("banned4") == {}
    await wire.passes(V4)


@FAMILIES
async def test_the_kernel_ends_a_ban_by_itself(
    wire: Wire, firewall: Nftables, banned: str, neighbour: str, name: str
) -> None:
    await firewall.ban([ban(banned, 10_700), ban(neighbour, 70_000)], now=10_000)
    await wire.dropped(banned)
    await wire.passes_at_last(banned)
    await until(lambda: set(wire.elements(name)) == {neighbour})


async def test_a_ban_lasts_for_what_remains_of_it(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4, 1_000_000)], now=400_000)
    assert wire.elements("banned4")[V4]["timeout"] == 600


async def test_a_ban_of_which_nothing_remains_is_skipped(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4, 1_000), ban(V6, 999)], now=1_000)
    assert wire.elements("banned4") == wire.elements("banned6") == {}
    await wire.passes(V4, V6)


@pytest.mark.parametrize(("first", "second", "seconds"), [(600_000, 60_000, 60), (60_000, 600_000, 600)])
async def test_a_second_ban_sets_the_new_end_be_it_shorter_or_longer(
    wire: Wire, firewall: Nftables, first: int, second: int, seconds: int
) -> None:
    await firewall.ban([ban(V4, first), ban(V6, first)], 0)
    await firewall.ban([ban(V4, second), ban(V6, second)], 0)
    assert wire.elements("banned4")[V4]["timeout"] == wire.elements("banned6")[V6]["timeout"] == seconds
    assert wire.elements("banned4")[V4]["expires"] > seconds - 10


async def test_a_permanent_ban_has_no_timeout_and_can_become_a_timed_one_and_back(
    wire: Wire, firewall: Nftables
) -> None:
    await firewall.ban([ban(V4)], 0)
    assert wire.elements("banned4") == {V4: {}}
    await firewall.ban([ban(V4, 60_000)], 0)
    assert wire.elements("banned4")[V4]["timeout"] == 60
    await firewall.ban([ban(V4)], 0)
    assert wire.elements("banned4") == {V4: {}}
    await wire.dropped(V4)


async def test_a_ban_until_the_end_of_time_is_taken(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4, 10**30)], 0)
    await wire.dropped(V4)


async def test_of_two_bans_of_one_target_in_a_call_the_later_counts(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4, 900_000), ban(V6), ban(V4, 300_000), ban(V6, 60_000)], 0)
    assert wire.elements("banned4")[V4]["timeout"] == 300
    assert wire.elements("banned6")[V6]["timeout"] == 60


@pytest.mark.parametrize("counters", [False, True])
async def test_a_ban_at_once_stands_before_anything_else_runs_and_gives_way_to_a_call_that_is_under_way(
    wire: Wire, counters: bool
) -> None:
    firewall = Nftables(counters=counters)
    try:
        await firewall.start([], [], 0)
        async with firewall._netlink._lock:
            assert not firewall.ban_at_once(ban(V4), 0)
        await wire.passes(V4)
        assert firewall.ban_at_once(ban(V4), 0)
        assert firewall.ban_at_once(ban(V4_NEIGHBOUR, absolute=True), 0)
        await wire.dropped(V4)
        await wire.dropped(V4_NEIGHBOUR)
        assert firewall.ban_at_once(ban(V4_NEIGHBOUR, absolute=False), 0)
        await wire.dropped(V4_NEIGHBOUR)
    finally:
        await firewall.close()


async def test_allow_beats_ban(wire: Wire) -> None:
    firewall = Nftables()
    bans = [ban(V4), ban(V4_NEIGHBOUR), ban(V6), ban(V6_NEIGHBOUR), ban("192.0.2.0/24"), ban("2001:db8::/64")]
    await firewall.start(targets(V4, f"{V6}/128"), bans, 0)
    await wire.passes(V4, V6)
    await wire.dropped(V4_NEIGHBOUR, V6_NEIGHBOUR)
    await firewall.close()


@pytest.mark.parametrize(("version", "source"), [(0, V4), (1, V6)])
async def test_an_established_connection_ends_with_the_ban(
    wire: Wire, firewall: Nftables, version: int, source: str
) -> None:
    wire.server.run(
        ["nft", "-f", "-"],
        stdin="""
        table inet others {
            chain early { type filter hook prerouting priority -150; ct state established,related accept; }
            chain input { type filter hook input priority 0; ct state established,related accept; }
        }""",
    )
    family = socket.AF_INET6 if version else socket.AF_INET
    with socket.create_server((SERVERS[version], PORT), family=family) as listening:
        with wire.attacker.entered():
            client = socket.socket(family, socket.SOCK_STREAM)
        with client:
            client.bind((source, 0))
            client.connect((SERVERS[version], PORT))
            served, _ = listening.accept()
            with served:
                client.sendall(b"before")
                assert served.recv(100) == b"before"
                await firewall.ban([ban(source)], 0)
                before = wire.drops()
                client.sendall(b"after")
                await until(lambda: wire.drops() > before)
                served.setblocking(False)
                with pytest.raises(BlockingIOError):
                    served.recv(100)


async def test_a_ban_in_a_vanished_table_is_reported_and_not_done(wire: Wire, firewall: Nftables) -> None:
    wire.server.run(["nft", "flush", "ruleset"])
    for call in (firewall.ban([ban(V4)], 0), firewall.ban([ban("10.0.0.0/8")], 0), firewall.unban(targets(V4))):
        with pytest.raises(FirewallError, match="table inet amiguard is gone") as raised:
            await call
        assert raised.value.errno == ENOENT
    assert wire.tables() == []
