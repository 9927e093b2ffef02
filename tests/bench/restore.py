"""A start with many bans in the database: until the last one is in the kernel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from amiguard.model import Ban, Evidence, Reason, Target
from amiguard.stores.sqlite import SqliteStore
from tests.bench.table import Figure
from tests.lab.daemon import Line
from tests.lab.journal import SilentJournal
from tests.lab.stage import Stage, stage

GOALS = {0: 0.7, 10_000: 0.8, 100_000: 0.8}
"""Seconds, by the number of bans."""

DAY = 24 * 3600 * 1000
CHUNK = 10_000
RUNS = 3


class Start(NamedTuple):
    """Seconds to the last ban in the kernel, from the process's start and from its first line; bytes of memory."""

    whole: float
    restore: float
    resident: int


async def restore() -> list[Figure]:
    """Measure the best of some starts for each number of bans."""
    figures = []
    for size, goal in GOALS.items():
        async with stage() as place:
            await fill(place, size)
            starts = [await start(place, size) for _ in range(RUNS)]
        best = min(starts)
        what = f"{size:,} bans"
        figures.append(Figure(f"{what}: start of the process → last one in the kernel", best.whole, "s", goal))
        figures.append(Figure(f"{what}: of this, database and kernel", best.restore, "s"))
        figures.append(Figure(f"{what}: resident when idle", best.resident / 1e6, "MB"))
    return figures


async def start(place: Stage, size: int) -> Start:
    """Start the daemon with an empty kernel, and see that it restores every ban."""
    place.namespace.run(["nft", "flush", "ruleset"])
    began = time.perf_counter()
    daemon = place.site.start()
    while b'"ready"' not in daemon.log.read_bytes():
        assert daemon.process.poll() is None, daemon.errors
        await asyncio.sleep(0.01)  # more often, and we take the daemon's time
    whole = time.perf_counter() - began
    await daemon.told("ami-connected")
    (first,), (ready,) = daemon.lines("start"), daemon.lines("ready")
    assert ready["amiguard.bans"] == size
    assert restored(place) == size
    resident = daemon.resident()
    assert await daemon.stop() == 0
    return Start(whole, seconds_of(ready) - seconds_of(first), resident)


def seconds_of(line: Line) -> float:
    """Return when a line was written."""
    return datetime.fromisoformat(line["@timestamp"]).timestamp()


def restored(place: Stage) -> int:
    """Return how many addresses the kernel drops."""
    listed = place.namespace.run(["nft", "-j", "list", "set", "inet", "amiguard", "banned4"])
    return listed.stdout.count('"expires":')


async def fill(place: Stage, size: int) -> None:
    """Write bans into the database as the daemon does."""
    store = SqliteStore(place.site.database, SilentJournal())
    now = time.time_ns() // 1_000_000
    await store.open(now)
    for chunk in chunks(size, now):
        await store.write(chunk)
    await store.close()


def chunks(size: int, now: int) -> Iterator[list[Ban]]:
    """Yield bans that differ as those of real attackers do."""
    for begin in range(0, size, CHUNK):
        yield [
            Ban(
                Target(f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"),
                since=now - number % DAY,
                until=now + DAY + number,
                reason=Reason.WRONG_PASSWORD,
                evidence=Evidence.DATAGRAM,
                failures=5,
                accounts=tuple(f"{number + guess}" for guess in range(5)),
                service="PJSIP",
                transport="UDP",
                source="ami",
            )
            for number in range(begin, begin + CHUNK)
        ]
