"""What becomes of packets of banned sources: all ports or some, dropped or rejected, and what DNAT sends elsewhere."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from errno import ENOENT, EOPNOTSUPP
from typing import Literal

import pytest

from amiguard.errors import FirewallError
from amiguard.firewalls.netlinkcalls import Refused
from amiguard.firewalls.netlinkformat import Message
from amiguard.firewalls.nftables import Nftables, probe
from amiguard.firewalls.treatment import NO_ANSWERS, NO_REJECT, Treatment
from amiguard.model import PortRange
from tests.lab.waiting import until
from tests.netns.attacking import BOTH, STRENGTHS, attacking, connected, family, hears_nothing, is_told
from tests.netns.published import PUBLISHED, container
from tests.netns.wire import SERVERS, V4, V6, Wire, ban

pytestmark = pytest.mark.netns
OTHER = 5080
SIP = (PortRange("udp", 5060, 5061), PortRange("tcp", 5060, 5060))


@asynccontextmanager
async def started(treatment: Treatment) -> AsyncIterator[Nftables]:
    firewall = Nftables(treatment=treatment)
    try:
        await firewall.start([], [], 0)
        yield firewall
    finally:
        await firewall.close()


@BOTH
@STRENGTHS
async def test_only_the_ports_named_are_closed(wire: Wire, source: str, absolute: bool) -> None:
    server = SERVERS[":" in source]
    with socket.socket(family(source), socket.SOCK_DGRAM) as other, attacking(wire, source, socket.SOCK_DGRAM) as one:
        other.bind((server, OTHER))
        other.settimeout(3)
        async with started(Treatment(ports=SIP)) as firewall:
            await firewall.ban([ban(source, absolute=absolute)], 0)
            await wire.dropped(source)
            before = wire.drops()
            for port in (5059, 5062, OTHER):
                one.sendto(b"to another port", (server, port))
            assert other.recv(100) == b"to another port"
            assert wire.drops() == before
            for port in (5060, 5061):
                one.sendto(b"to a closed port", (server, port))
            await until(lambda: wire.drops() == before + 2)


async def test_protocols_have_ports_of_their_own(wire: Wire) -> None:
    with (
        socket.create_server((SERVERS[0], 5061)) as listening,
        attacking(wire, V4, socket.SOCK_STREAM) as open_port,
        attacking(wire, V4, socket.SOCK_STREAM) as closed_port,
    ):
        async with started(Treatment(ports=SIP)) as firewall:
            await firewall.ban([ban(V4)], 0)
            open_port.connect((SERVERS[0], 5061))  # of UDP alone
            listening.accept()[0].close()
            closed_port.settimeout(0.2)
            with pytest.raises(TimeoutError):
                closed_port.connect((SERVERS[0], 5060))
            assert wire.drops() > 0


@BOTH
@STRENGTHS
async def test_who_is_rejected_is_told_at_once(wire: Wire, source: str, absolute: bool) -> None:
    async with started(Treatment("reject")) as firewall:
        await firewall.ban([ban(source, absolute=absolute)], 0)
        await is_told(wire, source)
        assert wire.drops() >= 2


@STRENGTHS
@pytest.mark.parametrize(
    "treatment", [Treatment(), Treatment(ports=SIP), Treatment("reject"), Treatment("reject", SIP)]
)
async def test_an_established_connection_ends_in_every_mode(wire: Wire, treatment: Treatment, absolute: bool) -> None:
    async with started(treatment) as firewall:
        with connected(wire) as (client, served):
            await firewall.ban([ban(V4, absolute=absolute)], 0)
            client.sendall(b"after")
            await until(lambda: wire.drops() > 0)
            assert hears_nothing(served)


async def test_rules_can_change_over_a_running_table_without_losing_a_ban_or_what_was_counted(wire: Wire) -> None:
    async with started(Treatment()) as firewall:
        await firewall.ban([ban(V4), ban(V6, absolute=False)], 0)
        await wire.dropped(V4, V6)
        counted = wire.drops()
    async with started(Treatment("reject", SIP)) as changed:
        assert wire.drops() == (await changed.total_drops()).packets == counted
        await wire.dropped(V4, V6)


@BOTH
@STRENGTHS
@pytest.mark.parametrize("ports", [(), (PortRange("udp", PUBLISHED, PUBLISHED),)])
async def test_what_dnat_sends_to_a_container_is_covered_by_the_port_that_the_sender_named(
    wire: Wire, source: str, absolute: bool, ports: tuple[PortRange, ...]
) -> None:
    with container(wire, int(":" in source)) as service, attacking(wire, source, socket.SOCK_DGRAM) as client:
        async with started(Treatment(ports=ports)) as firewall:
            client.sendto(b"before", service.address)
            await until(lambda: service.received() == b"before")
            await firewall.ban([ban(source, absolute=absolute)], 0)
            for number in range(3):
                client.sendto(b"after", service.address)
                await until(lambda expected=number + 1: wire.drops() == expected)  # type: ignore[misc]
            assert service.received() == b""


async def test_a_container_is_answered_by_a_banned_address_that_it_asked(wire: Wire) -> None:
    with container(wire, 0) as service, attacking(wire, V4, socket.SOCK_DGRAM) as client:
        wire.attacker.run(["ip", "route", "add", "172.31.0.0/24", "via", SERVERS[0]])
        async with started(Treatment()) as firewall:
            await firewall.ban([ban(V4, absolute=False)], 0)
            service.listener.sendto(b"question", client.getsockname())
            client.sendto(b"answer", await asyncio.to_thread(lambda: client.recvfrom(100)[1]))
            await until(lambda: service.received() == b"answer")


REJECTIONS = "the rule for rejections"
ANSWERS = "the rule for answers"


def outdate(firewall: Nftables, *refused: str, code: int, names_it: bool) -> None:
    """Have the kernel refuse transactions with one of these messages, naming the message or the whole."""
    commit = firewall._netlink.commit

    async def refuse(messages: Sequence[Message]) -> None:
        for message in messages:
            if message.what in refused:
                raise Refused(code, message if names_it else None, "")
        await commit(messages)

    firewall._netlink.commit = refuse  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("refused", "code", "names_it", "lacks"),
    [
        ([REJECTIONS], EOPNOTSUPP, True, [NO_REJECT]),
        ([REJECTIONS], EOPNOTSUPP, False, [NO_REJECT]),
        ([ANSWERS], ENOENT, True, [NO_ANSWERS]),
        ([REJECTIONS, ANSWERS], ENOENT, True, [NO_ANSWERS, NO_REJECT]),
    ],
)
async def test_what_a_kernel_can_t_do_is_done_as_well_as_it_can_and_told(
    wire: Wire, refused: list[str], code: int, names_it: bool, lacks: list[str]
) -> None:
    firewall = Nftables(treatment=Treatment("reject"))
    outdate(firewall, *refused, code=code, names_it=names_it)
    await firewall.start([], [ban(V4), ban(V6, absolute=False)], 0)
    assert sorted(firewall.lacks()) == sorted(lacks)
    await wire.dropped(V4, V6)
    await firewall.close()


@pytest.mark.parametrize("verdict", ["drop", "reject"])
async def test_the_probe_tries_what_the_settings_want_and_leaves_nothing(
    wire: Wire, verdict: Literal["drop", "reject"]
) -> None:
    assert not {NO_REJECT, NO_ANSWERS} & set((await probe(Treatment(verdict, SIP))).split("; "))
    assert wire.nft("list", "tables")[1:] == []


async def test_a_kernel_without_nf_tables_is_still_told_as_such(wire: Wire) -> None:
    firewall = Nftables(treatment=Treatment("reject"))
    outdate(firewall, "the table amiguard", code=EOPNOTSUPP, names_it=False)
    with pytest.raises(FirewallError, match="no nf_tables"):
        await firewall.start([], [], 0)
    await firewall.close()
