"""How long it takes until all earlier bans are in an empty kernel again, from the start of the process on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from tests.bench.peers.contestants import Fail2ban
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
        return [_ruleset(place, size) for _ in range(runs)]


async def saved_set(size: int, runs: int) -> list[float]:
    """Return the seconds that `ipset restore` takes for a saved set."""
    async with stage() as place:
        return [_saved_set(place, size) for _ in range(runs)]


def _ruleset(place: Stage, size: int) -> float:
    elements = ", ".join(f"{address} timeout 1d expires {left}s" for address, left in _bans(size))
    place.namespace.run(["nft", "flush", "ruleset"])
    return _loaded(place, ["nft", "-f"], TABLE.format(elements=elements))


def _saved_set(place: Stage, size: int) -> float:
    """As `ipset save` writes it: the set is made as large as it was."""
    lines = "".join(f"add saved {address} timeout {left}\n" for address, left in _bans(size))
    place.namespace.run(["ipset", "destroy"])
    made = f"create saved hash:ip family inet hashsize {size // 2} maxelem {2 * size} timeout 86400\n"
    return _loaded(place, ["ipset", "restore", "-file"], made + lines)


def _bans(size: int) -> Iterator[tuple[str, int]]:
    """Yield addresses, and the seconds that their bans have left."""
    for number in range(size):
        yield f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", number % 86_400 + 1


def _loaded(place: Stage, command: Sequence[str], saved: str) -> float:
    """Return the seconds that a program takes for a file."""
    file = place.site.folder / "saved"
    file.write_text(saved)
    began = time.perf_counter()
    place.namespace.run([*command, file], timeout=300)
    return time.perf_counter() - began


async def fail2ban(size: int) -> tuple[int, float]:
    """Return how many bans fail2ban has put back when all are there, or `LIMIT` is over; and after how many seconds."""
    async with stage() as place:
        peer = Fail2ban(place)
        await peer.remember([attacker(number) for number in range(size)])
        place.namespace.run(["nft", "flush", "ruleset"])
        with peer.bans() as bans:
            began = time.perf_counter()
            await peer.start()
            await bans.reached(size, LIMIT)
            took = time.perf_counter() - began
        peer.kill()
    return bans.number, took
