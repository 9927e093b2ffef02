from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from amiguard.firewalls.nftables import Nftables
from tests.lab.netns import NetworkNamespace, veth
from tests.netns.wire import ATTACKERS, SERVERS, Wire


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
