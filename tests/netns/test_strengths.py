"""Two strengths of bans, with packets: absolute ones, and those that spare the answers to what the server asked."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import pytest

from amiguard.firewalls.conntrack import Conntrack
from amiguard.firewalls.nftables import Nftables
from tests.lab.waiting import until
from tests.netns.wire import FAR_V4, PORT, SERVERS, V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns
BOTH = pytest.mark.parametrize("source", [V4, V6])
NEIGHBOURS = {V4: V4_NEIGHBOUR, V6: V6_NEIGHBOUR}


class Talk:
    """Two UDP sockets: one of the server, one of the attacker, who may answer from another port than he is asked at."""

    def __init__(self, wire: Wire, source: str, server_port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.server = socket.socket(family, socket.SOCK_DGRAM)
        self.server.bind((SERVERS[":" in source], server_port))
        with wire.attacker.entered():
            self.attacker = socket.socket(family, socket.SOCK_DGRAM)
        self.attacker.bind((source, 0))
        self.here, self.there = self.server.getsockname()[:2], self.attacker.getsockname()[:2]
        for one in (self.server, self.attacker):
            one.settimeout(5)

    def close(self) -> None:
        self.server.close()
        self.attacker.close()

    def ask(self) -> None:
        """The server sends to the attacker, whom it always reaches."""
        self.server.sendto(b"question", self.there)
        assert self.attacker.recv(100) == b"question"

    def say(self) -> None:
        """The attacker sends to the server."""
        self.attacker.sendto(b"answer", self.here)

    def hears(self) -> None:
        """Assert that what the attacker says arrives."""
        self.say()
        assert self.server.recv(100) == b"answer"

    async def hears_nothing(self, wire: Wire) -> None:
        """Assert that what the attacker says is dropped."""
        before = wire.drops()
        self.say()
        await until(lambda: wire.drops() > before, what="the packet is dropped")
        self.server.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.server.recv(100)
        self.server.settimeout(5)


@contextmanager
def talk(wire: Wire, source: str, server_port: int = 0) -> Iterator[Talk]:
    with closing(Talk(wire, source, server_port)) as opened:
        yield opened


@pytest.fixture
async def conntrack(wire: Wire) -> AsyncIterator[Conntrack]:
    opened = Conntrack()
    yield opened
    await opened.close()


@BOTH
async def test_whom_only_datagrams_accuse_is_still_heard_where_the_server_asks_him(
    wire: Wire, firewall: Nftables, source: str
) -> None:
    with talk(wire, source) as before:
        before.ask()
        await firewall.ban([ban(source, absolute=False)], 0)
        wire.server.run(["ip", "neighbour", "flush", "to", source])  # on the link itself it must still be found
        before.hears()
        with talk(wire, source) as dns:
            dns.ask()
            dns.hears()
            dns.hears()
    await wire.dropped(source)


@BOTH
async def test_an_absolute_ban_ends_the_servers_own_conversations_too(
    wire: Wire, firewall: Nftables, source: str
) -> None:
    with talk(wire, source) as dns:
        dns.ask()
        await firewall.ban([ban(source)], 0)
        await dns.hears_nothing(wire)


@BOTH
async def test_a_conversation_that_the_attacker_began_ends_with_either_ban(
    wire: Wire, firewall: Nftables, conntrack: Conntrack, source: str
) -> None:
    with talk(wire, source) as attack:
        attack.hears()
        attack.ask()
        attack.hears()
        await firewall.ban([ban(source, absolute=False)], 0)
        await conntrack.end(targets(source))
        await attack.hears_nothing(wire)
        attack.ask()  # a response that the server repeats
        await attack.hears_nothing(wire)
        await firewall.ban([ban(source)], 0)
        await attack.hears_nothing(wire)


@BOTH
async def test_a_port_that_the_attacker_had_the_server_speak_to_is_closed_with_the_ban(
    wire: Wire, firewall: Nftables, conntrack: Conntrack, source: str
) -> None:
    with talk(wire, source) as named_in_via, talk(wire, NEIGHBOURS[source]) as another:
        for one in (named_in_via, another):
            one.ask()
            one.hears()
        await firewall.ban([ban(source, absolute=False), ban(NEIGHBOURS[source], absolute=False)], 0)
        named_in_via.hears()  # the ban alone does not suffice
        await conntrack.end(targets(source))
        await named_in_via.hears_nothing(wire)
        another.hears()


async def test_ports_are_closed_for_all_addresses_of_a_network(
    wire: Wire, firewall: Nftables, conntrack: Conntrack
) -> None:
    with talk(wire, V4) as one, talk(wire, V4_NEIGHBOUR) as other, talk(wire, V6) as outside:
        for talking in (one, other, outside):
            talking.ask()
        await firewall.ban([ban("192.0.2.0/28", absolute=False), ban(V6, absolute=False)], 0)
        await conntrack.end(targets("192.0.2.0/28"))
        await one.hears_nothing(wire)
        await other.hears_nothing(wire)
        outside.hears()


async def test_a_thousand_ports_are_closed_at_once(wire: Wire, firewall: Nftables, conntrack: Conntrack) -> None:
    with talk(wire, V4) as prepared:
        for port in range(10_000, 11_000):
            prepared.server.sendto(b"question", (V4, port))
        prepared.ask()
        await firewall.ban([ban(V4, absolute=False)], 0)
        await conntrack.end(targets(V4, V6))
        await prepared.hears_nothing(wire)
    count = wire.server.run(["cat", "/proc/sys/net/netfilter/nf_conntrack_count"]).stdout
    assert int(count) < 100


async def test_a_tcp_connection_of_the_attacker_ends_though_the_server_goes_on_repeating_itself(
    wire: Wire, firewall: Nftables, conntrack: Conntrack
) -> None:
    with socket.create_server((SERVERS[0], PORT)) as listening:
        with wire.attacker.entered():
            client = socket.socket()
        with client:
            client.bind((V4, 0))
            client.connect((SERVERS[0], PORT))
            served, _ = listening.accept()
            with served:
                client.sendall(b"before")
                assert served.recv(100) == b"before"
                await firewall.ban([ban(V4, absolute=False)], 0)
                await conntrack.end(targets(V4))
                served.sendall(b"unacknowledged, so it is sent again and again")
                before = wire.drops()
                client.sendall(b"after")
                await until(lambda: wire.drops() > before + 3, what="segments are dropped")
                served.setblocking(False)
                with pytest.raises(BlockingIOError):
                    served.recv(100)


@BOTH
async def test_a_target_is_in_the_set_of_one_strength_only_and_moves_between_them(
    wire: Wire, firewall: Nftables, source: str
) -> None:
    version = 6 if ":" in source else 4
    for absolute in (False, True, False, True):
        await firewall.ban([ban(source, 60_000, absolute=not absolute), ban(source, 60_000, absolute=absolute)], 0)
        held = set(wire.elements(f"banned{version}")), set(wire.elements(f"unproven{version}"))
        assert held == (({source}, set()) if absolute else (set(), {source}))
        await wire.dropped(source)
    await firewall.unban(targets(source))
    await wire.passes(source)


async def test_networks_have_both_strengths_too(wire: Wire, firewall: Nftables) -> None:
    for network, inside in (("192.0.2.0/28", V4), ("2001:db8::/123", V6)):
        with talk(wire, inside) as dns:
            dns.ask()
            await firewall.ban([ban(network, absolute=False)], 0)
            dns.hears()
            await wire.dropped(inside)
            await firewall.ban([ban(network)], 0)
            await dns.hears_nothing(wire)
            await firewall.ban([ban(network, absolute=False)], 0)
            dns.hears()
            await firewall.unban(targets(network))
            await wire.passes(inside)


OLDER_LAYOUT = """
table inet amiguard {
    set allow4 { type ipv4_addr; flags interval; }
    set allow6 { type ipv6_addr; flags interval; }
    set banned4 { type ipv4_addr; flags timeout; elements = { 192.0.2.10 timeout 1h } }
    set banned6 { type ipv6_addr; flags timeout; elements = { 2001:db8::10 } }
    set banned4_27 { type ipv4_addr; flags timeout; elements = { 198.51.100.192 timeout 1h } }
    chain prerouting {
        type filter hook prerouting priority -310; policy accept;
        ip saddr @allow4 accept
        ip6 saddr @allow6 accept
        ip saddr @banned4 counter drop
        ip saddr & 255.255.255.224 @banned4_27 counter drop
        ip6 saddr @banned6 counter drop
    }
}
"""


async def test_the_layout_from_before_there_were_two_strengths_is_taken_over_with_every_ban(wire: Wire) -> None:
    wire.server.run(["nft", "-f", "-"], stdin=OLDER_LAYOUT)
    firewall = Nftables()
    await firewall.start([], [ban(V4, 60_000, absolute=False)], 0)
    assert set(wire.elements("unproven4")) == {V4}
    assert set(wire.elements("banned6")) == {V6}
    assert wire.elements("banned4") == {}
    await wire.dropped(V4, V6, FAR_V4)
    with talk(wire, V4) as dns:
        dns.ask()
        dns.hears()
    await firewall.close()
