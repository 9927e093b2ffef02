"""How long it takes from the fifth failure on one node of a fleet to the firewalls of all others."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from tests.bench.table import Figure, quantiles
from tests.lab.fleet import fleet
from tests.lab.redis import Redis
from tests.lab.world import attack

NODES = 20
BANS = 100


async def sharing() -> list[Figure]:
    """Measure with all nodes in this process, and firewalls that only remember."""
    loop = asyncio.get_running_loop()
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(Path(folder))
        await server.start()
        try:
            async with fleet(server.url, NODES) as members:
                for number in range(BANS):
                    address, first = f"198.51.100.{number}", members[number % NODES]
                    began = loop.time()
                    attack(first.guard, address)
                    missing = {id(one): one for one in members if one is not first}
                    while missing:
                        await asyncio.sleep(0)
                        arrived = [name for name, one in missing.items() if one.drops(address)]
                        taken += [loop.time() - began] * len(arrived)
                        for name in arrived:
                            del missing[name]
        finally:
            await server.end()
    return quantiles(f"fifth failure on one of {NODES} nodes → firewalls of the others", taken, p99=50)
