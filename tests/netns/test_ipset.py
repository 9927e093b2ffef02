"""Bans in ipset and iptables with real packets, with the rules in nf_tables over netlink and in iptables-legacy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from errno import ENOENT
from xml.etree import ElementTree as ET

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.ipset import sets as ipset_sets
from amiguard.firewalls.ipset.chains import Verdict
from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.ipset.names import SIZE
from amiguard.firewalls.ipset.rules import NetlinkRules
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.treatment import DROP_ALL, Treatment
from amiguard.model import PortRange, Target
from amiguard.ports import Firewall
from tests.lab.waiting import until
from tests.netns.attacking import BOTH, STRENGTHS, attacking, connected, hears_nothing
from tests.netns.published import container
from tests.netns.wire import (
    FAR_V4,
    FAR_V4_NEIGHBOUR,
    FAR_V6,
    FAR_V6_NEIGHBOUR,
    SERVERS,
    V4,
    V4_NEIGHBOUR,
    V6,
    V6_NEIGHBOUR,
    Wire,
    ban,
    targets,
)

pytestmark = pytest.mark.netns
LEGACY = pytest.mark.parametrize("legacy", [False, True], ids=["nft", "legacy"])
PROGRAMS = {False: ("iptables-nft", "ip6tables-nft"), True: ("iptables-legacy", "ip6tables-legacy")}


def members(wire: Wire, name: str) -> dict[str, int]:
    """What a set holds as ipset prints it: each element and the seconds that are left to it."""
    document = ET.fromstring(wire.server.run(["ipset", "list", name, "-output", "xml"]).stdout)
    return {
        str(one.findtext("elem")): int(one.findtext("timeout") or 0)
        for one in document.iterfind("ipset/members/member")
    }


@asynccontextmanager
async def started(
    *, legacy: bool = False, treatment: Treatment = DROP_ALL, counters: bool = False
) -> AsyncIterator[Ipset]:
    firewall = Ipset(treatment, legacy=legacy, counters=counters)
    try:
        await firewall.start([], [], 0)
        yield firewall
    finally:
        await firewall.close()


async def dropped(wire: Wire, firewall: Firewall, *sources: str) -> None:
    """Assert that a datagram from each is counted by a rule that drops, and does not arrive."""
    for source in sources:
        before = (await firewall.total_drops()).packets
        payload = wire.send(source)

        async def counted(before: int = before) -> bool:
            return (await firewall.total_drops()).packets > before

        await until(counted, what=f"{source} is dropped")
        assert payload not in wire.received()


@LEGACY
@BOTH
@STRENGTHS
async def test_a_banned_address_is_cut_off_and_its_neighbour_is_not(
    wire: Wire, source: str, absolute: bool, legacy: bool
) -> None:
    neighbour = V6_NEIGHBOUR if ":" in source else V4_NEIGHBOUR
    async with started(legacy=legacy) as firewall:
        await wire.passes(source, neighbour)
        await firewall.ban([ban(source, 60_000, absolute=absolute)], 0)
        await dropped(wire, firewall, source)
        await wire.passes(neighbour)
        await firewall.unban(targets(source, neighbour, "203.0.113.0/24"))
        await wire.passes(source)


async def test_sets_have_the_names_of_the_interface_and_whole_seconds(wire: Wire) -> None:
    async with started() as firewall:
        await firewall.ban([ban(V4, 599_001), ban(V6), ban(V4_NEIGHBOUR, 999)], 0)
        assert members(wire, "amiguard4").keys() == {V4, V4_NEIGHBOUR}
        assert 598 <= members(wire, "amiguard4")[V4] <= 600
        assert members(wire, "amiguard6") == {V6: 0}
        await firewall.ban([ban(V4, 30_000), ban(V6, 10**30)], 0)
        assert members(wire, "amiguard4")[V4] in (29, 30)
        assert members(wire, "amiguard6")[V6] in (2_147_482, 2_147_483)


async def test_the_kernel_ends_a_ban_by_itself(wire: Wire) -> None:
    async with started() as firewall:
        await firewall.ban([ban(V4, 1_000)], 0)
        await dropped(wire, firewall, V4)
        await wire.passes_at_last(V4)


@LEGACY
async def test_networks_of_any_length_are_banned_and_end_independently(wire: Wire, legacy: bool) -> None:
    async with started(legacy=legacy) as firewall:
        nets = [ban("198.51.100.0/24"), ban("2001:db8:1:2::/64"), ban("198.51.100.128/25"), ban(FAR_V4)]
        await firewall.ban(nets, 0)
        await dropped(wire, firewall, FAR_V4, FAR_V6)
        await wire.passes(FAR_V4_NEIGHBOUR, FAR_V6_NEIGHBOUR)
        await firewall.unban(targets("198.51.100.0/24", FAR_V4))
        await dropped(wire, firewall, FAR_V4)
        await firewall.unban(targets("198.51.100.128/25", "2001:db8:1:2::/64"))
        await wire.passes(FAR_V4, FAR_V6)
        await firewall.ban([ban("0.0.0.0/0")], 0)
        await dropped(wire, firewall, FAR_V4, V4)
        await firewall.unban(targets("0.0.0.0/0"))
        await wire.passes(FAR_V4, V4)


@LEGACY
async def test_who_is_allowed_is_never_dropped_and_the_list_can_change(wire: Wire, legacy: bool) -> None:
    firewall = Ipset(legacy=legacy)
    bans = [ban(V4), ban(V6, absolute=False), ban(V4_NEIGHBOUR)]
    await firewall.start(targets(V4, "2001:db8::/64"), bans, 0)
    await wire.passes(V4, V6)
    await dropped(wire, firewall, V4_NEIGHBOUR)
    await firewall.allow(targets("192.0.2.11"))
    await dropped(wire, firewall, V4, V6)
    await wire.passes(V4_NEIGHBOUR)
    await firewall.close()


@LEGACY
@BOTH
@pytest.mark.parametrize(
    "treatment", [DROP_ALL, Treatment("reject", (PortRange("udp", 1024, 65535),))], ids=["drop", "reject"]
)
async def test_the_servers_own_conversations_survive_a_ban_that_only_datagrams_led_to(
    wire: Wire, source: str, legacy: bool, treatment: Treatment
) -> None:
    server = SERVERS[":" in source]
    async with started(legacy=legacy, treatment=treatment) as firewall:
        with (
            attacking(wire, source, socket.SOCK_DGRAM) as name_server,
            socket.socket(name_server.family, socket.SOCK_DGRAM) as asking,
        ):
            asking.bind((server, 0))
            asking.settimeout(3)
            asking.connect(name_server.getsockname()[:2])
            await firewall.ban([ban(source, absolute=False)], 0)
            await dropped(wire, firewall, source)
            asking.send(b"who is it?")
            name_server.sendto(name_server.recv(100) + b" it is I", asking.getsockname()[:2])
            assert asking.recv(100) == b"who is it? it is I"
            await firewall.ban([ban(source)], 0)
            asking.send(b"again")
            before = (await firewall.total_drops()).packets
            name_server.sendto(name_server.recv(100), asking.getsockname()[:2])
            assert (await firewall.total_drops()).packets == before + 1, "an absolute ban spares no answer"


@LEGACY
@STRENGTHS
async def test_an_established_connection_ends_with_the_ban(wire: Wire, absolute: bool, legacy: bool) -> None:
    async with started(legacy=legacy) as firewall:
        with connected(wire) as (client, served):
            await firewall.ban([ban(V4, absolute=absolute)], 0)
            client.sendall(b"after")

            async def counted() -> bool:
                return (await firewall.total_drops()).packets > 0

            await until(counted)
            assert hears_nothing(served)


@LEGACY
@STRENGTHS
@pytest.mark.parametrize("verdict", ["drop", "reject"])
async def test_only_the_ports_named_are_closed(wire: Wire, absolute: bool, legacy: bool, verdict: Verdict) -> None:
    ports = (PortRange("udp", 5060, 5061), PortRange("tcp", 5060, 5060))
    async with started(legacy=legacy, treatment=Treatment(verdict, ports)) as firewall:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, attacking(wire, V4, socket.SOCK_DGRAM) as one:
            other.bind((SERVERS[0], 5080))
            other.settimeout(3)
            await firewall.ban([ban(V4, absolute=absolute)], 0)
            await dropped(wire, firewall, V4)
            one.sendto(b"to another port", (SERVERS[0], 5080))
            assert other.recv(100) == b"to another port"


@LEGACY
async def test_a_new_start_keeps_bans_rules_and_counts_and_doubles_nothing(wire: Wire, legacy: bool) -> None:
    async with started(legacy=legacy) as firewall:
        await firewall.ban([ban(V4), ban(V6)], 0)
        await dropped(wire, firewall, V4, V6)
        counted = await firewall.total_drops()
    before = [
        wire.server.run([program, "-w", "-t", table, "-S"]).stdout
        for program in PROGRAMS[legacy]
        for table in ("raw", "mangle")
    ]
    async with started(legacy=legacy) as again:
        if not legacy:
            assert await again.total_drops() == counted
        await dropped(wire, again, V4, V6)
    after = [
        wire.server.run([program, "-w", "-t", table, "-S"]).stdout
        for program in PROGRAMS[legacy]
        for table in ("raw", "mangle")
    ]
    assert before == after
    assert all(one.count("-j AMIGUARD") == 1 for one in after)


async def test_the_rules_read_as_if_iptables_had_written_them(wire: Wire) -> None:
    async with started(treatment=Treatment(ports=(PortRange("udp", 5060, 5061),))):
        raw = wire.server.run(["iptables-nft", "-t", "raw", "-S"]).stdout
        mangle = wire.server.run(["ip6tables-nft", "-t", "mangle", "-S"]).stdout
    assert "-A PREROUTING -p udp -m udp --dport 5060:5061 -j AMIGUARD" in raw
    assert "-A AMIGUARD -m set --match-set amiguard4-allow src -j RETURN" in raw
    assert "-A AMIGUARD -m set --match-set amiguard4 src -j DROP" in raw
    assert "-A AMIGUARD -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN" in mangle
    assert "--ctstate RELATED,ESTABLISHED --ctdir REPLY -j RETURN" in mangle
    assert "-A AMIGUARD -m set --match-set amiguard6-unproven-net src -j DROP" in mangle


async def test_other_rules_of_iptables_stay_and_ours_come_first(wire: Wire) -> None:
    wire.server.run(["iptables-nft", "-t", "raw", "-A", "PREROUTING", "-s", V4, "-j", "ACCEPT"])
    async with started() as firewall:
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)
        lines = wire.server.run(["iptables-nft", "-t", "raw", "-S", "PREROUTING"]).stdout.splitlines()
    assert lines[1:] == ["-A PREROUTING -j AMIGUARD", f"-A PREROUTING -s {V4}/32 -j ACCEPT"]


async def test_packets_of_each_ban_are_counted_if_asked_for(wire: Wire) -> None:
    async with started(counters=True) as firewall:
        await firewall.ban([ban(V4), ban("198.51.100.0/24", absolute=False)], 0)
        await dropped(wire, firewall, V4, V4, FAR_V4)
        drops = await firewall.drops(targets(V4, "198.51.100.0/24", V6))
    assert {target: one.packets for target, one in drops.items()} == {V4: 2, "198.51.100.0/24": 1}
    assert all(one.bytes > 0 for one in drops.values())


async def test_sets_can_begin_to_count_without_letting_anybody_through(wire: Wire) -> None:
    bans = [ban(V4), ban("2001:db8::10", 600_000)]
    async with started() as firewall:
        await firewall.ban(bans, 0)
    counting = Ipset(counters=True)
    await counting.start([], bans, 0)
    await dropped(wire, counting, V4, V6)
    assert (await counting.drops(targets(V4)))[Target(V4)].packets == 1
    assert wire.server.run(["ipset", "list", "-name"]).stdout.count("-new") == 0
    await counting.close()


async def test_a_foreign_set_of_our_name_is_an_error_that_says_so(wire: Wire) -> None:
    wire.server.run(["ipset", "create", "amiguard4", "bitmap:port", "range", "0-100"])
    firewall = Ipset()
    with pytest.raises(FirewallError, match="amiguard4"):
        await firewall.start([], [], 0)
    await firewall.close()


@pytest.mark.parametrize("used", [False, True])
async def test_nobody_is_allowed_whom_a_start_that_was_killed_left_in_a_spare_set(wire: Wire, used: bool) -> None:
    wire.server.run(["ipset", "create", "amiguard4-allow-new", "hash:net", "timeout", "0", "maxelem", str(SIZE)])
    wire.server.run(["ipset", "add", "amiguard4-allow-new", V4])
    if used:
        match = ["-m", "set", "--match-set", "amiguard4-allow-new", "src", "-j", "ACCEPT"]
        wire.server.run(["iptables-nft", "-A", "INPUT", *match])
    firewall = Ipset()
    try:
        if used:
            with pytest.raises(
                FirewallError, match="amiguard4-allow-new is still used by rules that are not amiguard's"
            ):
                await firewall.start([], [ban(V4)], 0)
        else:
            await firewall.start([], [ban(V4)], 0)
            await dropped(wire, firewall, V4)
        assert members(wire, "amiguard4-allow") == {}
    finally:
        await firewall.close()


async def test_a_hundred_thousand_bans_are_put_in_while_the_loop_breathes(wire: Wire) -> None:
    del wire
    bans = [ban(f"10.{a}.{b}.{c}", 600_000) for a in range(4) for b in range(100) for c in range(250)]
    async with started() as firewall:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        await firewall.ban(bans, 0)
        ticking.cancel()
    assert ticks >= 90


@LEGACY
async def test_what_was_laid_out_can_be_withdrawn(wire: Wire, legacy: bool) -> None:
    async with started(legacy=legacy) as firewall:
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)
    await firewall.withdraw()
    await wire.passes(V4)
    assert wire.server.run(["ipset", "list", "-name"]).stdout == ""
    assert "AMIGUARD" not in wire.server.run([PROGRAMS[legacy][0], "-w", "-t", "raw", "-S"]).stdout


async def test_a_second_amiguard_is_refused_while_the_first_one_runs(wire: Wire) -> None:
    second = Ipset()
    async with started() as first:
        await first.ban([ban(V4)], 0)
        with pytest.raises(FirewallError, match="another amiguard"):
            await second.start([], [], 0)
    await second.start([], [], 0)
    await dropped(wire, second, V4)
    await second.close()


async def test_a_full_set_is_an_error_that_says_so_and_what_is_in_it_stays(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipset_sets, "SIZE", 16)
    async with started() as firewall:
        await firewall.ban([ban(V4)], 0)
        too_many = [ban(f"10.0.{number >> 8}.{number & 255}") for number in range(4_000)]
        with pytest.raises(FirewallError, match="the set is full"):
            await firewall.ban(too_many, 0)
        await dropped(wire, firewall, V4)


@LEGACY
@BOTH
@STRENGTHS
async def test_what_dnat_sends_to_a_container_is_covered_without_a_rule_in_docker_user(
    wire: Wire, source: str, absolute: bool, legacy: bool
) -> None:
    with container(wire, int(":" in source)) as service, attacking(wire, source, socket.SOCK_DGRAM) as client:
        async with started(legacy=legacy) as firewall:
            client.sendto(b"before", service.address)
            await until(lambda: service.received() == b"before")
            await firewall.ban([ban(source, absolute=absolute)], 0)
            before = (await firewall.total_drops()).packets
            client.sendto(b"after", service.address)

            async def counted() -> bool:
                return (await firewall.total_drops()).packets > before

            await until(counted)
            assert service.received() == b""


async def test_a_chain_that_vanishes_while_rules_are_laid_is_not_taken_for_a_kernel_without_nf_tables(
    wire: Wire,
) -> None:
    firewall = Ipset()
    assert isinstance(firewall._rules, NetlinkRules)
    commit = firewall._rules._netlink.commit
    refusals = [ENOENT]

    async def refuse_once(messages: Sequence[Message]) -> None:
        if refusals:
            raise Refused(refusals.pop(), messages[0], "")
        await commit(messages)

    firewall._rules._netlink.commit = refuse_once  # type: ignore[method-assign]
    await firewall.start([], [ban(V4)], 0)
    await dropped(wire, firewall, V4)
    assert firewall.lacks() == []
    await firewall.close()
