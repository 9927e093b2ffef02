from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.nftables import Nftables
from amiguard.listed import Width
from amiguard.lists import Delta
from tests.lab.lists import listed
from tests.lab.waiting import until
from tests.netns.wire import SERVERS, Wire, ban, targets

pytestmark = pytest.mark.netns

NAMED, NEIGHBOUR, IN_NETWORK = "45.9.9.1", "45.9.9.2", "45.9.10.77"
NAMED6, NEIGHBOUR6 = "2a00:1::1", "2a00:1::2"
ATTACKERS = (NAMED, NEIGHBOUR, IN_NETWORK, NAMED6, NEIGHBOUR6)
HOUR = 3_600_000
LIST = [NAMED, "45.9.10.0/24", NAMED6]


@pytest.fixture
def attackers(wire: Wire) -> Wire:
    """The same cable, with attackers whose addresses a list may name."""
    for one in ATTACKERS:
        wire.attacker.run(["ip", "address", "add", one, "dev", "lo", *(["nodad"] if ":" in one else [])])
    return wire


@pytest.fixture
async def firewall(attackers: Wire) -> AsyncIterator[Nftables]:
    started = Nftables(feeds=["voipbl", "office"])
    await started.start([], [], 0)
    yield started
    await started.close()


def sets(wire: Wire, feed: str = "voipbl") -> list[str]:
    names = [one["set"]["name"] for one in wire.nft("list", "sets", "table", "inet", "amiguard") if "set" in one]
    return sorted(name for name in names if name.startswith(f"feed_{feed}_"))


async def test_who_is_named_is_dropped_and_counted_for_the_list(attackers: Wire, firewall: Nftables) -> None:
    await attackers.passes(*ATTACKERS)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await attackers.dropped(NAMED, IN_NETWORK, NAMED6)
    await attackers.passes(NEIGHBOUR, NEIGHBOUR6)
    dropped = await firewall.lists.dropped()
    assert (dropped["voipbl"].packets, dropped["office"].packets) == (3, 0)
    assert (await firewall.total_drops()).packets == 3


async def test_a_new_version_lets_through_who_left_and_drops_who_came(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    for _ in range(3):
        await firewall.lists.replace("voipbl", listed([NEIGHBOUR, IN_NETWORK]), 0)
        await attackers.dropped(NEIGHBOUR, IN_NETWORK)
        await attackers.passes(NAMED)
        await firewall.lists.replace("voipbl", listed([NAMED]), 0)
        await attackers.dropped(NAMED)
        await attackers.passes(NEIGHBOUR, IN_NETWORK)
    assert len(sets(attackers)) == 1


async def test_who_both_versions_name_is_dropped_throughout(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    stop = asyncio.Event()

    async def fire() -> None:
        while not stop.is_set():
            attackers.send(NAMED)
            await asyncio.sleep(0)

    firing = asyncio.create_task(fire())
    many = [f"45.10.{third}.{last}" for third in range(40) for last in range(256)]
    for _ in range(3):
        await firewall.lists.replace("voipbl", listed([*many, NAMED]), 0)
        await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    stop.set()
    await firing
    assert attackers.received() == set()
    assert attackers.counters()["feed_voipbl"] > 10


async def test_lists_do_not_touch_each_other_nor_the_bans(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED, NEIGHBOUR]), 0)
    await firewall.lists.replace("office", listed([NAMED]), 0)
    await firewall.ban([ban(NEIGHBOUR)], 0)
    await firewall.lists.replace("voipbl", listed([]), 0)
    await attackers.dropped(NAMED, NEIGHBOUR)
    await firewall.unban(targets(NAMED, NEIGHBOUR))
    await attackers.dropped(NAMED)
    await attackers.passes(NEIGHBOUR)
    assert sets(attackers) == []


async def test_a_list_for_which_nothing_was_laid_out_changes_nothing(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("unknown", listed([NAMED]), 0)
    await firewall.lists.change("unknown", Delta(put=[(Width(4, 32), 0x2D090901, HOUR)]), 0)
    await attackers.passes(NAMED)


async def test_the_allowlist_wins(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await firewall.allow(targets(NAMED, "45.9.10.64/26", NAMED6))
    await attackers.passes(NAMED, IN_NETWORK, NAMED6)
    await firewall.allow([])
    await attackers.dropped(NAMED, IN_NETWORK, NAMED6)


async def test_the_kernel_lets_go_of_a_list_that_nobody_renews(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED], end=1_000), 0)
    await firewall.lists.replace("office", listed([NEIGHBOUR], end=HOUR), 0)
    await attackers.dropped(NAMED)
    await attackers.passes_at_last(NAMED)
    await attackers.dropped(NEIGHBOUR)


async def test_single_networks_come_go_and_get_another_end(attackers: Wire, firewall: Nftables) -> None:
    one, network = (Width(4, 32), 0x2D090901), (Width(4, 24), 0x2D090A)
    await firewall.lists.change("office", Delta(put=[(*one, HOUR), (*network, HOUR)]), 0)
    await attackers.dropped(NAMED, IN_NETWORK)
    await firewall.lists.change("office", Delta(put=[(*network, 900)], take=[one, one, (Width(6, 128), 1)]), 0)
    await attackers.passes(NAMED)
    await attackers.passes_at_last(IN_NETWORK)


async def test_answers_of_who_is_named_pass(attackers: Wire, firewall: Nftables) -> None:
    """What this server asks, it is answered: a lying list can't cut off its provider or resolver."""
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    with attackers.attacker.entered():
        provider = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with closing(provider), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        for one, address in ((provider, NAMED), (server, SERVERS[0])):
            one.bind((address, 0))
            one.settimeout(5)
        server.sendto(b"REGISTER", provider.getsockname())
        assert provider.recv(100) == b"REGISTER"
        provider.sendto(b"200 OK", server.getsockname())
        assert server.recv(100) == b"200 OK"
    await attackers.dropped(NAMED)


async def test_the_next_amiguard_keeps_a_list_until_it_has_it_anew_and_drops_one_it_does_not_know(
    attackers: Wire, firewall: Nftables
) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    await firewall.lists.replace("office", listed([NEIGHBOUR]), 0)
    await firewall.close()
    await attackers.dropped(NAMED, NEIGHBOUR)

    successor = Nftables(feeds=["voipbl"])
    await successor.start([], [], 0)
    await attackers.dropped(NAMED)
    await attackers.passes(NEIGHBOUR)
    assert sets(attackers, "office") == []
    assert "feed_office" not in attackers.counters()
    await successor.lists.replace("voipbl", listed([IN_NETWORK]), 0)
    await attackers.dropped(IN_NETWORK)
    await attackers.passes(NAMED)
    await successor.close()

    without = Nftables()
    await without.start([], [], 0)
    await attackers.passes(IN_NETWORK)
    assert sets(attackers) == []
    await without.close()


async def test_whoever_removes_a_list_is_noticed_and_after_the_layout_it_can_be_put_back(
    attackers: Wire, firewall: Nftables
) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    watching = asyncio.create_task(firewall.watch())
    await asyncio.sleep(0)
    attackers.server.run(["nft", "delete", "element", "inet", "amiguard", sets(attackers)[1], "{", NAMED, "}"])
    assert (await watching).targets is None
    attackers.server.run(["nft", "delete", "table", "inet", "amiguard"])
    with pytest.raises(FirewallError):
        await firewall.lists.replace("voipbl", listed(LIST), 0)
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await attackers.dropped(NAMED, IN_NETWORK, NAMED6)


async def test_a_list_that_was_begun_and_not_finished_leaves_nothing(attackers: Wire, firewall: Nftables) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    many = [f"45.10.{third}.{last}" for third in range(40) for last in range(256)]
    filling = asyncio.create_task(firewall.lists.replace("voipbl", listed(many), 0))
    await until(lambda: len(sets(attackers)) > 3)
    filling.cancel()
    await asyncio.wait({filling})
    await attackers.dropped(NAMED, IN_NETWORK)
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await attackers.dropped(NAMED, IN_NETWORK)
    assert len(sets(attackers)) == 3
