"""What is read of a daemon every few seconds, and whether it grows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.daemon import Daemon

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon at one moment. `looks` and `late` are how often it looked at its clock, and was how late in all."""

    at: float
    """Seconds since the first one."""
    resident: float
    """MiB."""
    files: int
    threads: int
    tasks: int
    cpu: float
    """Seconds, of all threads since the start."""
    kept_waiting: float
    """Seconds for which its first thread could have run, and others had the processor."""
    events: int
    bans: int
    """Decided since the start."""
    active: int
    looks: int
    late: float
    """Seconds."""
    punctual: int
    """Of the looks, those that were late by at most `TOLERATED`."""


TOLERATED = 0.1
"""Seconds: a bucket of `histogram.BOUNDS`."""


async def sample(daemon: Daemon, socket: Path, at: float) -> Sample:
    """Read everything once."""
    process = Path(f"/proc/{daemon.pid}")
    told = await scraped(socket)
    return Sample(
        at=at,
        resident=daemon.resident() / MIB,
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        tasks=int(told["amiguard_loop_tasks"]),
        cpu=daemon.cpu(),
        kept_waiting=int((process / "schedstat").read_text().split()[1]) / 1e9,
        events=int(told["amiguard_events_total"]),
        bans=int(told["amiguard_bans_total"]),
        active=int(told["amiguard_bans_active"]),
        looks=int(told["amiguard_loop_lag_seconds_count"]),
        late=told["amiguard_loop_lag_seconds_sum"],
        punctual=int(told[f"amiguard_loop_lag_seconds_bucket {TOLERATED}"]),
    )


async def scraped(socket: Path) -> dict[str, float]:
    """Return what Prometheus would read, without labels but those of buckets."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
        session.get("http://amiguard/metrics") as response,
    ):
        text = await response.text()
    families = text_string_to_metric_families(text)
    return {
        f"{one.name} {one.labels['le']}" if "le" in one.labels else one.name: one.value
        for family in families
        for one in family.samples
    }


def growth(samples: Sequence[Sample], what: Callable[[Sample], float]) -> float:
    """Return by how much the median of the last third is above that of the second; the first is for warming up."""
    third = len(samples) // 3
    second, last = samples[third : 2 * third], samples[2 * third :]
    return statistics.median(map(what, last)) - statistics.median(map(what, second))


def slope(samples: Sequence[Sample], what: Callable[[Sample], float]) -> float:
    """Return by how much it grows in an hour, by least squares over all but the first third."""
    warm = samples[len(samples) // 3 :]
    line = statistics.linear_regression([one.at for one in warm], [what(one) for one in warm])
    return line.slope * 3600


def lateness(samples: Sequence[Sample]) -> list[float]:
    """Return by how many milliseconds the loop was late on the average between each two samples."""
    return [
        1000 * (after.late - before.late) / max(1, after.looks - before.looks) for before, after in pairwise(samples)
    ]
