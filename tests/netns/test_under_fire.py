"""Banned senders of both families send as fast as they can while the firewall restarts, bans them again, is healed.

Each test goes on until a million packets of each family have come in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.nftables import Nftables
from amiguard.ports import Firewall
from tests.lab.waiting import until
from tests.netns.protecting import guarding, now, protecting
from tests.netns.wire import PORT, SERVERS, V4, V6, Wire, ban, sources_of

pytestmark = [pytest.mark.netns, pytest.mark.alone]  # both processors send packets, and the kernel gets to nothing else

ENOUGH = 1_000_000
ROUNDS = 10
MORE = 1_000
BANS = [ban(V4), ban(V6)]
SCREEN = """table inet screen { chain prerouting { type filter hook prerouting priority -400; policy drop; }
}
"""


@contextmanager
def under_fire(wire: Wire) -> Iterator[Fire]:
    """Send from both banned sources without a pause."""
    script = Path(__file__).with_name("blaster.py")
    wire.attacker.run(["ip", "link", "set", wire.attackers_device, "gso_max_segs", "1"])  # each packet by itself
    blasters = []
    for source, server in zip((V4, V6), SERVERS, strict=True):
        argv = [sys.executable, str(script), source, server, str(PORT)]
        blasters.append(wire.attacker.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    for blaster in blasters:
        assert blaster.stdout
        blaster.stdout.readline()
    try:
        yield Fire()
    finally:
        for blaster in blasters:
            blaster.communicate(timeout=10)


class Fire:
    """Counts what the server's IPv4 and IPv6 took in, before any rule saw it."""

    def __init__(self) -> None:
        self._before = self._arrived()
        self._asked = 0

    def goes_on(self) -> bool:
        """Whether too few packets of either family came in yet, or too few times was something done meanwhile."""
        self._asked += 1
        came = [now - before for now, before in zip(self._arrived(), self._before, strict=True)]
        return self._asked <= ROUNDS or min(came) < ENOUGH

    @staticmethod
    def _arrived() -> tuple[int, int]:
        names, values = (line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()[:2])
        v6 = dict(line.split() for line in Path("/proc/thread-self/net/snmp6").read_text().splitlines())
        return int(values[names.index("InReceives")]), int(v6["Ip6InReceives"])


@pytest.mark.parametrize(
    "made", [lambda: Nftables(owner=True), lambda: Nftables(owner=False), Ipset], ids=["owner", "nobody", "ipset"]
)
async def test_no_packet_of_a_banned_source_passes_while_the_firewall_restarts(
    wire: Wire, made: Callable[[], Firewall]
) -> None:
    firewall = made()
    await firewall.start([], BANS, 0)
    with under_fire(wire) as fire:
        while fire.goes_on():
            for _ in range(3):
                await firewall.close()
                firewall = made()
                await firewall.start([], BANS, 0)
    await firewall.close()
    assert sources_of(wire.received()) == set()


@pytest.mark.parametrize("made", [Nftables, Ipset])
async def test_no_packet_of_a_banned_source_passes_while_he_is_banned_again(
    wire: Wire, made: Callable[[], Firewall]
) -> None:
    firewall = made()
    await firewall.start([], BANS, 0)
    with under_fire(wire) as fire:
        while fire.goes_on():
            for number in range(ROUNDS * 20):
                again = [ban(V4, 600_000 + number), ban(V6, 600_000 + number)]
                await firewall.ban([*again, ban(f"10.0.0.0/{8 + number % 20}")], 0)
    await firewall.close()
    assert sources_of(wire.received()) == set()


@pytest.mark.parametrize("made", [Nftables, Ipset])
async def test_no_packet_of_a_banned_source_passes_while_his_ban_changes_its_strength(
    wire: Wire, made: Callable[[], Firewall]
) -> None:
    firewall = made()
    await firewall.start([], BANS, 0)
    with under_fire(wire) as fire:
        while fire.goes_on():
            for number in range(ROUNDS * 20):
                await firewall.ban([ban(one, absolute=number % 2 == 0) for one in (V4, V6)], 0)
    await firewall.close()
    assert sources_of(wire.received()) == set()


async def test_no_packet_of_a_banned_source_passes_while_somebody_flushes_what_amiguard_owns(wire: Wire) -> None:
    async with protecting(*BANS, firewall=Nftables(owner=True)):
        with under_fire(wire) as fire:
            while fire.goes_on():
                for _ in range(ROUNDS):
                    wire.server.run(["nft", "flush", "ruleset"])
    assert sources_of(wire.received()) == set()


async def test_no_packet_of_a_banned_source_passes_while_his_table_is_made_anew_for_an_owner(wire: Wire) -> None:
    wire.server.run(["nft", "-f", "-"], stdin=SCREEN)
    with under_fire(wire) as fire:
        while fire.goes_on():
            wire.server.run(["nft", "-f", "-"], stdin=SCREEN)
            wire.server.run(["nft", "delete table inet amiguard"], check=False)
            firewall = Nftables()
            await firewall.start([], BANS, now())
            await firewall.close()
            wire.server.run(["nft", "delete table inet screen"])
            firewall = Nftables(owner=True)
            await firewall.start([], BANS, now())
            await firewall.close()
    assert sources_of(wire.received()) == set()


@pytest.mark.parametrize(
    ("made", "damage"),
    [(Nftables, ["nft", "flush", "ruleset"]), (Ipset, ["nft", "flush", "ruleset"]), (Ipset, ["ipset", "flush"])],
)
async def test_where_anybody_may_flush_the_hole_closes_at_once(
    wire: Wire, made: Callable[[], Firewall], damage: list[str]
) -> None:
    async with guarding(made(), *BANS) as protected:

        async def dropped() -> int:
            return (await protected.firewall.total_drops()).packets

        with under_fire(wire) as fire:
            heals = 0
            while fire.goes_on():
                wire.server.run(damage)
                await protected.healed_once_more(than=heals)
                heals += 1
                assert sources_of(wire.received()) <= {V4, V6}
                wire.forget()
                before = await dropped()

                async def more(before: int = before) -> bool:
                    return await dropped() > before + MORE

                await until(more)
                assert wire.received() == set()
