"""Somebody takes bans or rules away where they are ipset's and iptables': they are back within the promised time.

How long the hole was open the kernel tells: it stamps the datagrams of a banned sender that come through."""

from __future__ import annotations

import asyncio
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from amiguard.firewalls.ipset import watching
from amiguard.firewalls.ipset.firewall import Ipset
from tests.lab.waiting import until
from tests.netns.protecting import Protected, guarding, now
from tests.netns.test_ipset import dropped, members
from tests.netns.wire import FAR_V4, SERVERS, V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban, targets

pytestmark = pytest.mark.netns

PROMISE = 0.05
PACE = 0.0005
ROUNDS = 5
PORT = 5070
SO_TIMESTAMPNS = 35
BANS = [ban(V4), ban(V6, absolute=False), ban("198.51.100.0/24"), ban("2001:db8:1::/48", absolute=False)]
RULE, TAKEN = "a rule was deleted", "bans were taken out of the set "

DAMAGES = [
    ("nft flush ruleset", V4, RULE),
    ("iptables-nft -t raw -F", V4, RULE),
    ("ip6tables-nft -t mangle -F AMIGUARD", V6, RULE),
    ("ip6tables-nft -t mangle -D PREROUTING -j AMIGUARD", V6, RULE),
    ("nft flush ruleset; for i in 1 2 3 4 5 6 7 8; do ipset destroy 2>/dev/null; done; true", V4, RULE),
    ("ipset flush", V4, TAKEN),
    ("ipset flush amiguard6-unproven", V6, f"{TAKEN}amiguard6-unproven"),
    (f"ipset del amiguard4 {V4}", V4, f"{TAKEN}amiguard4"),
    (f"ipset del amiguard6-unproven {V6}", V6, f"{TAKEN}amiguard6-unproven"),
    ("ipset del amiguard4-net 198.51.100.0/24", FAR_V4, f"{TAKEN}amiguard4-net"),
    (f"ipset add -exist amiguard4 203.0.113.1 && sleep 0.2 && ipset del amiguard4 {V4}", V4, f"{TAKEN}amiguard4"),
    ("ipset create other hash:ip timeout 0 && ipset swap amiguard4 other && ipset destroy other", V4, TAKEN),
]


class Hole:
    """A banned address that sends without a pause, and the kernel's stamps of what came through."""

    def __init__(self, wire: Wire, source: str, port: int = PORT) -> None:
        self.arrived = 0
        """How many datagrams have come through so far, as `seconds` last heard."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_DGRAM)
        self._listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._listener.bind((SERVERS[":" in source], port))
        self._listener.setblocking(False)
        with wire.attacker.entered():
            self._sender = socket.socket(family, socket.SOCK_DGRAM)
        self._sender.bind((source, 0))
        self._sender.connect((SERVERS[":" in source], port))
        self._ended = threading.Event()
        self._sending = threading.Thread(target=self._send)
        self._sending.start()

    def _send(self) -> None:
        while not self._ended.wait(PACE):
            self._sender.send(b"let me in")

    def seconds(self) -> float:
        """How long datagrams have come through since this was last asked."""
        stamps: list[float] = []
        while True:
            try:
                _, control, _, _ = self._listener.recvmsg(100, 100)
            except BlockingIOError:
                return max(stamps) - min(stamps) if stamps else 0.0
            self.arrived += 1
            seconds, nanoseconds = struct.unpack("qq", control[0][2])
            stamps.append(seconds + nanoseconds / 1e9)

    def close(self) -> None:
        self._ended.set()
        self._sending.join()
        self._sender.close()
        self._listener.close()


@contextmanager
def hole(wire: Wire, source: str, port: int = PORT) -> Iterator[Hole]:
    opened = Hole(wire, source, port)
    try:
        yield opened
    finally:
        opened.close()


async def healed(wire: Wire, protected: Protected[Ipset], damage: str) -> str:
    """Do damage while the loop runs on, and return what was logged when all was back."""
    before = len(protected.healed())
    await asyncio.to_thread(wire.server.run, ["sh", "-c", damage])
    return (await protected.healed_once_more(than=before)).message


@pytest.mark.alone
@pytest.mark.parametrize(("damage", "source", "told"), DAMAGES, ids=[one[0] for one in DAMAGES])
async def test_what_somebody_takes_away_is_back_within_the_promised_time(
    wire: Wire, damage: str, source: str, told: str
) -> None:
    open_for = []
    async with guarding(Ipset(), *BANS) as protected:
        with hole(wire, source) as opened:
            for _ in range(ROUNDS):
                assert (await healed(wire, protected, damage)).startswith(told)
                await dropped(wire, protected.firewall, V4, V6, FAR_V4)
                open_for.append(opened.seconds())
        await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
        assert len(protected.healed()) >= ROUNDS
    assert statistics.median(open_for) < PROMISE, open_for


@pytest.mark.alone
async def test_among_ten_thousand_bans_a_single_one_is_missed_as_soon(wire: Wire) -> None:
    open_for = []
    others = [ban(f"10.0.{n >> 8}.{n & 255}", now() + 3_600_000) for n in range(10_000)]
    async with guarding(Ipset(), *others, ban(V4), ban(V4_NEIGHBOUR)) as protected:
        with hole(wire, V4) as opened:
            for _ in range(ROUNDS):
                await healed(wire, protected, f"ipset del amiguard4 {V4}")
                await dropped(wire, protected.firewall, V4)
                open_for.append(opened.seconds())
        assert {line.fields["bans"] for line in protected.healed()} == {1}
    assert statistics.median(open_for) < PROMISE, open_for


async def test_an_element_that_was_exchanged_for_another_is_missed_in_time(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "COMPARING_AT_LEAST", 0.1)
    async with guarding(Ipset(), ban(V4), ban(V4_NEIGHBOUR)) as protected:
        lines = f"del amiguard4 {V4}\nadd amiguard4 203.0.113.1\n"
        wire.server.run(["ipset", "restore"], stdin=lines)
        await protected.healed_once_more(than=0)
        await dropped(wire, protected.firewall, V4)
        assert members(wire, "amiguard4").keys() == {V4, V4_NEIGHBOUR, "203.0.113.1"}


async def test_a_removed_exception_is_back_too(wire: Wire) -> None:
    async with guarding(Ipset(), ban("192.0.2.0/24"), allow=targets(V4)) as protected:
        await until(lambda: protected.firewall.looks > 3)
        said = await healed(wire, protected, "ipset flush amiguard4-allow")
        assert said.startswith("elements were taken out of the set amiguard4-allow")
        await wire.passes(V4)


async def test_bans_that_end_or_are_lifted_are_not_missed(wire: Wire) -> None:
    short = [ban(f"10.0.0.{n}", now() + 1_000 + 20 * n) for n in range(100)]
    async with guarding(Ipset(), ban(V4), *short) as protected:
        await protected.guard.administration.unban(targets(V4)[0])
        await until(lambda: not members(wire, "amiguard4"), timeout=10)
        assert protected.healed() == []


async def test_what_amiguard_does_itself_heals_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0)
    monkeypatch.setattr(watching, "COMPARING_AT_LEAST", 0)
    async with guarding(Ipset(), ban(V4)) as protected:
        for number in range(300):
            again = [ban(f"10.0.0.{number % 7}", now() + 60_000, absolute=number % 2 == 0), ban("10.0.0.0/8")]
            await protected.firewall.ban(again, now())
            await protected.firewall.unban(targets(f"10.0.0.{number % 5}"))
        await protected.firewall.allow(targets("203.0.113.7"))
        await protected.firewall.start([], [ban(V4)], now())
        wire.server.run(["nft", "add", "table", "inet", "another"])
        looks = protected.firewall.looks
        await until(lambda: protected.firewall.looks > looks + 3)
        assert protected.healed() == []


async def test_what_moves_while_the_kernel_is_asked_for_bans_that_nobody_remembers_heals_nothing(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INTERVAL", 0)
    monkeypatch.setattr(watching, "COMPARING_AT_LEAST", 0)
    monkeypatch.setattr(watching, "COMPARING", 0)
    earlier = [ban(f"10.0.{n >> 8}.{n & 255}", now() + 600_000, absolute=False) for n in range(10_000)]
    killed = Ipset()
    await killed.start([], earlier, now())
    await killed.close()
    async with guarding(Ipset(), ban(V4)) as protected:
        read = protected.guard._adoption.done
        assert not read.is_set()
        for begin in range(0, len(earlier), 200):
            await protected.firewall.ban([one._replace(absolute=True) for one in earlier[begin : begin + 200]], now())
        await read.wait()
        looks = protected.firewall.looks
        await until(lambda: protected.firewall.looks > looks + 3)
        assert protected.healed() == []


async def test_while_nobody_is_banned_hardly_anything_is_looked_at_and_the_first_ban_wakes_it(wire: Wire) -> None:
    async with guarding(Ipset()) as protected:
        await until(lambda: protected.firewall.looks > 0)
        looks, began = protected.firewall.looks, time.monotonic()
        wire.server.run(["nft", "flush", "ruleset"])
        await asyncio.sleep(0.2)
        assert protected.firewall.looks - looks <= 1 + (time.monotonic() - began) / watching.IDLE
        await protected.guard.administration.ban(targets(V4)[0], None, "")
        await until(lambda: len(protected.healed()) == 1)
        await dropped(wire, protected.firewall, V4)


async def test_a_ban_that_is_longer_than_any_time_out_is_renewed(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "RENEWAL", 0)
    async with guarding(Ipset(), ban(V4, now() + 10**12)):
        wire.server.run(["ipset", "add", "amiguard4", V4, "timeout", "100", "-exist"])
        await until(lambda: members(wire, "amiguard4")[V4] > 2_000_000)
