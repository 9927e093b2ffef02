"""Whom lists name, dropped by nftables, by ipset with rules over netlink, and by ipset with iptables-legacy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.nftables import Nftables
from amiguard.firewalls.treatment import Treatment
from amiguard.listed import Listed, Width
from amiguard.lists import Delta
from tests.lab.lists import listed
from tests.lab.waiting import until
from tests.netns.protecting import guarding
from tests.netns.test_ipset import dropped
from tests.netns.test_under_fire import under_fire
from tests.netns.wire import SERVERS, Wire, ban, targets

pytestmark = pytest.mark.netns

NAMED, NEIGHBOUR, IN_NETWORK = "45.9.9.1", "45.9.9.2", "45.9.10.77"
NAMED6, NEIGHBOUR6 = "2a00:1::1", "2a00:1::2"
ATTACKERS = (NAMED, NEIGHBOUR, IN_NETWORK, NAMED6, NEIGHBOUR6)
HOUR = 3_600_000
LIST = [NAMED, "45.9.10.0/24", NAMED6]
Either = Nftables | Ipset


@pytest.fixture
def attackers(wire: Wire) -> Wire:
    """The same cable, with attackers whose addresses a list may name."""
    for one in ATTACKERS:
        wire.attacker.run(["ip", "address", "add", one, "dev", "lo", *(["nodad"] if ":" in one else [])])
    return wire


@dataclass(frozen=True)
class Kind:
    """One of the firewalls, and how others see and take away what it made."""

    name: str
    per_list: int | None
    """Sets that a list has; None = one for each prefix length that it names."""
    flush: str

    def make(self, feeds: Collection[str] = ()) -> Either:
        return Nftables(feeds=feeds) if self.name == "nftables" else Ipset(feeds=feeds, legacy=self.name == "legacy")

    def sets(self, wire: Wire, feed: str = "voipbl") -> list[str]:
        """The names of a list's sets, also of those that are still being filled."""
        if self.name == "nftables":
            names = [
                one["set"]["name"] for one in wire.nft("list", "sets", "table", "inet", "amiguard") if "set" in one
            ]
            return sorted(name for name in names if name.startswith(f"feed_{feed}_"))
        return sorted(name for name in wire.server.run(["ipset", "list", "-n"]).stdout.split() if f"_{feed}" in name)

    def rules(self, wire: Wire) -> str:
        """All rules and counters as the programs show them."""
        commands = {
            "nftables": "nft list ruleset",
            "ipset": "iptables-nft-save; ip6tables-nft-save",
            "legacy": "iptables-legacy-save; ip6tables-legacy-save",
        }
        return wire.server.run(["sh", "-c", commands[self.name]]).stdout

    def take_out(self, one: str, element: str) -> Sequence[str]:
        if self.name == "nftables":
            return ["nft", "delete", "element", "inet", "amiguard", one, "{", element, "}"]
        return ["ipset", "del", one, element]


_DESTROY = "for i in 1 2 3 4 5 6 7 8 9; do ipset destroy 2>/dev/null; sleep 0.02; done; true"
_FLUSH_LEGACY = "; ".join(f"ip{six}tables-legacy -w -t {table} -F" for six in ("", "6") for table in ("raw", "mangle"))
KINDS = [
    Kind("nftables", None, "nft delete table inet amiguard"),
    Kind("ipset", 2, f"nft flush ruleset; {_DESTROY}"),
    Kind("legacy", 2, f"{_FLUSH_LEGACY}; {_DESTROY}"),
]


@pytest.fixture(params=KINDS, ids=[kind.name for kind in KINDS])
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture
async def firewall(attackers: Wire, kind: Kind) -> AsyncIterator[Either]:
    started = kind.make(["voipbl", "office"])
    await started.start([], [], 0)
    yield started
    await started.close()


def naming(*networks: str, into: Listed | None = None) -> Listed:
    """A list of these, also of those that no list of others may name."""
    made = Listed() if into is None else into
    for text in networks:
        network = ip_network(text)
        width = Width(network.version, network.prefixlen)
        made.put(width, int(network.network_address) >> width.shift, HOUR)
    return made


async def test_who_is_named_is_dropped_and_counted_for_the_list(attackers: Wire, firewall: Either, kind: Kind) -> None:
    await attackers.passes(*ATTACKERS)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await dropped(attackers, firewall, NAMED, IN_NETWORK, NAMED6)
    await attackers.passes(NEIGHBOUR, NEIGHBOUR6)
    counts = await firewall.lists.dropped()
    assert (counts["voipbl"].packets, counts["office"].packets) == (3, 0)
    assert (await firewall.total_drops()).packets == 3
    await firewall.start([], [], 0)
    if kind.name != "legacy":  # there it is counted anew
        assert await firewall.lists.dropped() == counts
        assert (await firewall.total_drops()).packets == 3


async def test_a_new_version_lets_through_who_left_and_drops_who_came(
    attackers: Wire, firewall: Either, kind: Kind
) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    for _ in range(3):
        await firewall.lists.replace("voipbl", listed([NEIGHBOUR, IN_NETWORK]), 0)
        await dropped(attackers, firewall, NEIGHBOUR, IN_NETWORK)
        await attackers.passes(NAMED)
        await firewall.lists.replace("voipbl", listed([NAMED]), 0)
        await dropped(attackers, firewall, NAMED)
        await attackers.passes(NEIGHBOUR, IN_NETWORK)
    assert len(kind.sets(attackers)) == (kind.per_list or 1)


@pytest.mark.parametrize("kind", KINDS[:2], ids=["nftables", "ipset"], indirect=True)
async def test_who_both_versions_name_is_dropped_throughout(wire: Wire, kind: Kind) -> None:
    """Also who is named by his address in one version and by his network in the next."""
    firewall = kind.make(["voipbl"])
    await firewall.start([], [], 0)
    many = Listed()
    for number in range(2_000):
        many.put(Width(4, 32), 0x2D0A0000 + number, HOUR)
    versions = [["192.0.2.10/32", "2001:db8::10/128"], ["192.0.2.0/24", "2001:db8::/64"]]
    for version in versions:
        await firewall.lists.replace("voipbl", naming(*version), 0)
    with under_fire(wire) as fire:
        while fire.goes_on():
            for version in versions:
                await firewall.lists.replace("voipbl", naming(*version, into=many.copy()), 0)
                await firewall.lists.replace("voipbl", naming(*version), 0)
    assert wire.received() == set()
    assert (await firewall.lists.dropped())["voipbl"].packets > 1_000_000
    await firewall.close()


async def test_lists_do_not_touch_each_other_nor_the_bans(attackers: Wire, firewall: Either, kind: Kind) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED, NEIGHBOUR]), 0)
    await firewall.lists.replace("office", listed([NAMED]), 0)
    await firewall.ban([ban(NEIGHBOUR)], 0)
    await firewall.lists.replace("voipbl", listed([]), 0)
    await dropped(attackers, firewall, NAMED, NEIGHBOUR)
    await firewall.unban(targets(NAMED, NEIGHBOUR))
    await dropped(attackers, firewall, NAMED)
    await attackers.passes(NEIGHBOUR)
    assert len(kind.sets(attackers)) == (kind.per_list or 0)


async def test_a_list_for_which_nothing_was_laid_out_changes_nothing(attackers: Wire, firewall: Either) -> None:
    await firewall.lists.replace("unknown", listed([NAMED]), 0)
    await firewall.lists.change("unknown", Delta(put=[(Width(4, 32), 0x2D090901, HOUR)]), 0)
    await attackers.passes(NAMED)


async def test_the_allowlist_wins(attackers: Wire, firewall: Either) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await firewall.allow(targets(NAMED, "45.9.10.64/26", NAMED6))
    await attackers.passes(NAMED, IN_NETWORK, NAMED6)
    await firewall.allow([])
    await dropped(attackers, firewall, NAMED, IN_NETWORK, NAMED6)


async def test_the_kernel_lets_go_of_a_list_that_nobody_renews(attackers: Wire, firewall: Either) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED], end=1_000), 0)
    await firewall.lists.replace("office", listed([NEIGHBOUR], end=HOUR), 0)
    await dropped(attackers, firewall, NAMED)
    await attackers.passes_at_last(NAMED)
    await dropped(attackers, firewall, NEIGHBOUR)


async def test_single_networks_come_go_and_get_another_end(attackers: Wire, firewall: Either) -> None:
    one, network = (Width(4, 32), 0x2D090901), (Width(4, 24), 0x2D090A)
    await firewall.lists.change("office", Delta(put=[(*one, HOUR), (*network, HOUR)]), 0)
    await dropped(attackers, firewall, NAMED, IN_NETWORK)
    await firewall.lists.change("office", Delta(put=[(*network, 900)], take=[one, one, (Width(6, 128), 1)]), 0)
    await attackers.passes(NAMED)
    await attackers.passes_at_last(IN_NETWORK)


async def test_answers_of_who_is_named_pass(attackers: Wire, firewall: Either) -> None:
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
    await dropped(attackers, firewall, NAMED)


async def test_the_next_amiguard_keeps_a_list_until_it_has_it_anew_and_drops_one_it_does_not_know(
    attackers: Wire, firewall: Either, kind: Kind
) -> None:
    await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    await firewall.lists.replace("office", listed([NEIGHBOUR]), 0)
    await firewall.close()
    await dropped(attackers, firewall, NAMED, NEIGHBOUR)
    total = await firewall.total_drops()

    successor = kind.make(["voipbl"])
    await successor.start([], [], 0)
    assert kind.name == "legacy" or await successor.total_drops() == total
    await dropped(attackers, successor, NAMED)
    await attackers.passes(NEIGHBOUR)
    assert kind.sets(attackers, "office") == []
    assert "office" not in kind.rules(attackers)
    await successor.lists.replace("voipbl", listed([IN_NETWORK]), 0)
    await dropped(attackers, successor, IN_NETWORK)
    await attackers.passes(NAMED)
    await successor.close()

    without = kind.make()
    await without.start([], [], 0)
    await attackers.passes(IN_NETWORK)
    assert kind.sets(attackers) == []
    assert "voipbl" not in kind.rules(attackers)
    await without.close()


async def test_whoever_removes_a_list_is_noticed_and_after_the_layout_it_can_be_put_back(
    attackers: Wire, firewall: Either, kind: Kind
) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    watching = asyncio.create_task(firewall.watch())
    await asyncio.sleep(0)
    holder = kind.sets(attackers)[1 if kind.name == "nftables" else 0]
    await asyncio.to_thread(attackers.server.run, kind.take_out(holder, NAMED))
    assert (await watching).targets is None
    attackers.server.run(["sh", "-c", kind.flush])
    with pytest.raises(FirewallError):
        await firewall.lists.replace("voipbl", listed(LIST), 0)
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await dropped(attackers, firewall, NAMED, IN_NETWORK, NAMED6)


async def test_a_list_that_was_begun_and_not_finished_leaves_nothing(
    attackers: Wire, firewall: Either, kind: Kind
) -> None:
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    many = [f"45.10.{third}.{last}" for third in range(40) for last in range(256)]
    filling = asyncio.create_task(firewall.lists.replace("voipbl", listed(many), 0))
    await until(lambda: len(kind.sets(attackers)) > (kind.per_list or 3))
    filling.cancel()
    await asyncio.wait({filling})
    await dropped(attackers, firewall, NAMED, IN_NETWORK)
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    await dropped(attackers, firewall, NAMED, IN_NETWORK)
    assert len(kind.sets(attackers)) == (kind.per_list or 3)


@pytest.mark.parametrize("element", [NAMED, "45.9.10.0/24"])
async def test_a_single_entry_that_is_taken_out_of_an_ipset_is_missed(attackers: Wire, element: str) -> None:
    firewall = Ipset(feeds=["voipbl"])
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed(LIST), 0)
    watching = asyncio.create_task(firewall.watch())
    await asyncio.to_thread(attackers.server.run, ["ipset", "del", "amiguard4_voipbl", element])
    assert (await watching).what == "entries were taken out of the set amiguard4_voipbl"
    await firewall.close()


async def test_what_ends_or_is_changed_by_its_list_is_not_missed(attackers: Wire) -> None:
    one, network, other = (Width(4, 32), 0x2D090901), (Width(4, 24), 0x2D090A), (Width(4, 32), 0x2D090902)
    firewall = Ipset(feeds=["office"])
    await firewall.start([], [], 0)
    watching = asyncio.create_task(firewall.watch())
    await firewall.lists.change("office", Delta(put=[(*one, HOUR), (*network, 1_000), (*other, HOUR)]), 0)
    await dropped(attackers, firewall, NAMED, IN_NETWORK)
    await firewall.lists.change("office", Delta(put=[(*other, HOUR // 2)], take=[one]), 0)
    await attackers.passes_at_last(IN_NETWORK)
    before = firewall.looks
    await until(lambda: firewall.looks > before + 3)
    assert not watching.done()
    await asyncio.to_thread(attackers.server.run, ["ipset", "flush", "amiguard4_office"])
    await watching
    await firewall.close()


async def test_a_flushed_list_is_healed(attackers: Wire, kind: Kind) -> None:
    async with guarding(kind.make(["voipbl"])) as protected:
        protected.guard.listing.replace("voipbl", listed(LIST), {})
        await until(lambda: protected.guard.listing.status("voipbl")["entries"] == 3)
        for command in ("nft flush ruleset; ipset flush", kind.flush):
            before = len(protected.healed())
            await asyncio.to_thread(attackers.server.run, ["sh", "-c", command])
            await protected.healed_once_more(than=before)
            counted = (await protected.firewall.lists.dropped())["voipbl"].packets

            async def is_back(counted: int = counted) -> bool:
                attackers.send(NAMED6)
                return (await protected.firewall.lists.dropped())["voipbl"].packets > counted

            await until(is_back)
            await dropped(attackers, protected.firewall, NAMED, IN_NETWORK, NAMED6)


@pytest.mark.parametrize("legacy", [False, True])
async def test_a_list_is_rejected_and_counted_where_bans_are(attackers: Wire, legacy: bool) -> None:
    firewall = Ipset(Treatment("reject"), legacy=legacy, feeds=["voipbl"])
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    await dropped(attackers, firewall, NAMED)
    assert (await firewall.lists.dropped())["voipbl"].packets == 1
    await firewall.close()


async def test_who_withdraws_leaves_no_set_of_a_list(attackers: Wire) -> None:
    firewall = Ipset(feeds=["voipbl"])
    await firewall.start([], [], 0)
    await firewall.lists.replace("voipbl", listed([NAMED]), 0)
    await firewall.close()
    await firewall.withdraw()
    assert attackers.server.run(["ipset", "list", "-n"]).stdout == ""
    await attackers.passes(NAMED)
