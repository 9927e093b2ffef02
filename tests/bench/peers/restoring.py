"""How long it takes until all earlier bans are in an empty kernel again, from the start of the process on."""

from __future__ import annotations

import time

from tests.bench.peers.contestants import Fail2ban
from tests.bench.peers.peer import Bans
from tests.bench.restore import fill, start
from tests.lab.guessing import attacker
from tests.lab.stage import Stage, stage

LIMIT = 60.0
"""Seconds that fail2ban gets."""

TABLE = "table inet saved {{\nset banned {{\ntype ipv4_addr\nflags timeout\nelements = {{ {elements} }}\n}}\n}}\n"


async def amiguard(size: int, runs: int) -> list[float]:
    """Return the seconds of some starts of amiguard."""
    async with stage() as place:
        await fill(place, size)
        return [(await start(place, size)).whole for _ in range(runs)]


async def ruleset(size: int, runs: int) -> list[float]:
    """Return the seconds that `nft -f` takes for a saved set: what a tool needs that keeps its bans in a ruleset."""
    async with stage() as place:
        return [_loaded(place, size) for _ in range(runs)]


def _loaded(place: Stage, size: int) -> float:
    elements = ", ".join(
        f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255} timeout 1d expires {number % 86_400 + 1}s"
        for number in range(size)
    )
    saved = place.site.folder / "saved.nft"
    saved.write_text(TABLE.format(elements=elements))
    place.namespace.run(["nft", "flush", "ruleset"])
    began = time.perf_counter()
    place.namespace.run(["nft", "-f", saved], timeout=300)
    return time.perf_counter() - began


async def fail2ban(size: int) -> tuple[int, float]:
    """Return how many bans fail2ban has put back when all are there, or `LIMIT` is over; and after how many seconds."""
    async with stage() as place:
        peer = Fail2ban(place)
        await peer.remember([attacker(number) for number in range(size)])
        place.namespace.run(["nft", "flush", "ruleset"])
        with Bans(place) as bans:
            began = time.perf_counter()
            await peer.start()
            await bans.reached(size, LIMIT)
            took = time.perf_counter() - began
        peer.kill()
    return len(bans.seen), took
