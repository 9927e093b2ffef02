from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from amiguard.firewalls.nftables import Nftables
from tests.lab.netns import NetworkNamespace, veth
from tests.lab.waiting import wait_until
from tests.netns.wire import ATTACKERS, SERVERS, Wire

RESTING = 0.9
"""The share of half a second for which the processors had nothing to do."""

PATIENCE = 20.0
"""Seconds after which a test begins on a machine that does not come to rest."""


@pytest.fixture(autouse=True)
def at_rest(request: pytest.FixtureRequest) -> None:
    """Begin what bears nothing beside it when the machine rests: the kernel still cleans up behind the tests before."""
    if request.node.get_closest_marker("alone") is not None:
        with suppress(AssertionError):
            wait_until(rests(), PATIENCE)


def rests() -> Callable[[], bool]:
    """Return what tells whether the processors have rested for the last half second."""
    before = idle_and_all()

    def rested() -> bool:
        nonlocal before
        now = idle_and_all()
        idle, passed = now[0] - before[0], now[1] - before[1]
        if passed < os.sysconf("SC_CLK_TCK") * os.sysconf("SC_NPROCESSORS_ONLN") / 2:
            return False
        before = now
        return idle > RESTING * passed

    return rested


def idle_and_all() -> tuple[int, int]:
    """Return the ticks in which the processors waited, and all: proc(5)."""
    ticks = [int(one) for one in Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A server and an attacker's machine on one cable; the test itself runs on the server."""
    with NetworkNamespace("server") as server, NetworkNamespace("attacker") as attacker:
        device, other = veth(
            server, attacker, [f"{one}/24" if "." in one else f"{one}/64" for one in SERVERS], ATTACKERS
        )
        for version in ("-4", "-6"):
            server.run(["ip", version, "route", "add", "default", "dev", device])
        (link,) = json.loads(server.run(["ip", "-j", "link", "show", device]).stdout)
        for address in SERVERS:  # or a ban would swallow the neighbour solicitations too
            attacker.run(["ip", "neighbour", "add", address, "lladdr", link["address"], "dev", other])
        with server.entered():
            wire = Wire(server, attacker, device, other)
            yield wire
            wire.close()


@pytest.fixture
async def firewall(wire: Wire) -> AsyncIterator[Nftables]:
    """A firewall that has started on the server, with nobody allowed or banned."""
    started = Nftables()
    await started.start([], [], 0)
    yield started
    await started.close()
