"""Banned ones are told where bans are ipset's: iptables rejects in its table filter alone."""

from __future__ import annotations

import asyncio
import socket

import pytest

from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.ipset.probing import probe
from amiguard.firewalls.treatment import Treatment
from amiguard.model import PortRange
from tests.lab.waiting import until
from tests.netns.attacking import BOTH, STRENGTHS, attacking, connected, hears_nothing, is_told
from tests.netns.protecting import guarding
from tests.netns.published import PUBLISHED, container
from tests.netns.test_ipset import LEGACY, PROGRAMS, dropped, started
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns
REJECT = Treatment("reject")
SIP = (PortRange("udp", 5060, 5061), PortRange("tcp", 5060, 5060))


@LEGACY
@BOTH
@STRENGTHS
async def test_who_is_rejected_is_told_at_once(wire: Wire, source: str, absolute: bool, legacy: bool) -> None:
    async with started(legacy=legacy, treatment=REJECT) as firewall:
        await firewall.ban([ban(source, absolute=absolute)], 0)
        await is_told(wire, source)
        assert (await firewall.total_drops()).packets >= 2
        await wire.passes(V6_NEIGHBOUR if ":" in source else V4_NEIGHBOUR)
        await firewall.unban(targets(source))
        await wire.passes(source)


@LEGACY
@STRENGTHS
@pytest.mark.parametrize("ports", [(), SIP], ids=["all", "some"])
async def test_an_established_connection_ends_with_a_reset(
    wire: Wire, absolute: bool, legacy: bool, ports: tuple[PortRange, ...]
) -> None:
    accept = ["-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"]
    wire.server.run([PROGRAMS[legacy][0], "-w", "-I", "INPUT", *accept])
    async with started(legacy=legacy, treatment=Treatment("reject", ports)) as firewall:
        with connected(wire) as (client, served):
            await firewall.ban([ban(V4, absolute=absolute)], 0)
            client.sendall(b"after")
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(client.recv, 100)
            assert hears_nothing(served)


async def test_what_nobody_tracks_is_rejected_by_its_port_too(wire: Wire) -> None:
    wire.server.run(["iptables-nft", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "-j", "CT", "--notrack"])
    async with started(treatment=Treatment("reject", SIP)) as firewall:
        await firewall.ban([ban(V4)], 0)
        await dropped(wire, firewall, V4)


@LEGACY
@BOTH
@pytest.mark.parametrize("ports", [(), (PortRange("udp", PUBLISHED, PUBLISHED),)], ids=["all", "some"])
async def test_what_dnat_sends_to_a_container_is_covered_by_the_port_that_the_sender_named(
    wire: Wire, source: str, legacy: bool, ports: tuple[PortRange, ...]
) -> None:
    with container(wire, int(":" in source)) as service, attacking(wire, source, socket.SOCK_DGRAM) as client:
        async with started(legacy=legacy, treatment=Treatment("reject", ports)) as firewall:
            client.sendto(b"before", service.address)
            await until(lambda: service.received() == b"before")
            await firewall.ban([ban(source, absolute=False)], 0)
            client.sendto(b"after", service.address)

            async def counted() -> bool:
                return (await firewall.total_drops()).packets > 0

            await until(counted)
            assert service.received() == b""


async def test_the_rules_read_as_if_iptables_had_written_them_and_policies_stay(wire: Wire) -> None:
    for chain in ("INPUT", "FORWARD"):
        wire.server.run(["iptables-nft", "-P", chain, "DROP"])
    wire.server.run(["iptables-nft", "-A", "INPUT", "-s", V4, "-j", "ACCEPT"])
    async with started(treatment=Treatment("reject", SIP[:1])):
        lines = wire.server.run(["iptables-nft", "-S"]).stdout.splitlines()
        six = wire.server.run(["ip6tables-nft", "-S", "AMIGUARD"]).stdout
    assert {"-P INPUT DROP", "-P FORWARD DROP"} <= set(lines)
    assert [line for line in lines if line.startswith("-A INPUT")] == [
        "-A INPUT -p udp -m conntrack --ctorigdstport 5060:5061 --ctdir ORIGINAL -j AMIGUARD",
        "-A INPUT -p udp -m conntrack --ctrepldstport 5060:5061 --ctdir REPLY -j AMIGUARD",
        "-A INPUT -p udp -m udp --dport 5060:5061 -m conntrack --ctstate INVALID,UNTRACKED -j AMIGUARD",
        f"-A INPUT -s {V4}/32 -j ACCEPT",
    ]
    assert "-A AMIGUARD -p tcp -m set --match-set amiguard4 src -j REJECT --reject-with tcp-reset" in lines
    assert "-A AMIGUARD -m set --match-set amiguard4 src -j REJECT --reject-with icmp-port-unreachable" in lines
    assert "-m set --match-set amiguard6-unproven-net src -j REJECT --reject-with icmp6-port-unreachable" in six


@LEGACY
async def test_another_verdict_takes_the_place_of_the_first_and_all_can_be_withdrawn(wire: Wire, legacy: bool) -> None:
    bans = [ban(V4), ban(V6, absolute=False)]
    firewall = Ipset(legacy=legacy)
    for treatment in (Treatment(), REJECT, Treatment("reject", SIP), REJECT, Treatment()):
        firewall = Ipset(treatment, legacy=legacy)
        await firewall.start([], bans, 0)
        await firewall.start([], bans, 0)
        await dropped(wire, firewall, V4, V6)
        for program in PROGRAMS[legacy]:
            for table in ("raw", "mangle", "filter"):
                here = (table == "filter") == (treatment.verdict == "reject")
                rules = wire.server.run([program, "-w", "-t", table, "-S"]).stdout
                each = max(1, 3 * len(treatment.ports)) * (2 if table == "filter" else 1)
                assert rules.count("-j AMIGUARD") == (each if here else 0)
        await firewall.close()
    await firewall.withdraw()
    await wire.passes(V4, V6)


async def test_who_puts_a_rule_before_ours_as_docker_does_finds_ours_before_his(wire: Wire) -> None:
    async with guarding(Ipset(REJECT), ban(V4)) as protected:
        docker = "iptables-nft -N DOCKER-USER; iptables-nft -I FORWARD -j DOCKER-USER"
        wire.server.run(["sh", "-c", docker])
        line = await protected.healed_once_more(than=0)
        assert line.message.startswith("a rule was deleted or is no longer the first")
        forward = wire.server.run(["iptables-nft", "-S", "FORWARD"]).stdout.splitlines()
        assert forward[1:] == ["-A FORWARD -j AMIGUARD", "-A FORWARD -j DOCKER-USER"]


async def test_the_probe_tries_rejections_and_leaves_nothing(wire: Wire) -> None:
    assert "over netlink" in await probe(REJECT)
    assert "AMIGUARD" not in wire.server.run(["iptables-nft", "-S"]).stdout
