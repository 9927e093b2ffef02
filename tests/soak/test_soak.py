"""The whole daemon under mixed load for `AMIGUARD_SOAK_SECONDS`: nothing grows, and nothing gets late. `make soak`."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.bench.table import Figure, machine, show
from tests.chaos.arena import Arena, arena
from tests.lab.daemon import ROOT, Daemon
from tests.soak.load import SETTINGS, Load
from tests.soak.plot import Series, plot
from tests.soak.samples import Sample, growth, lateness, sample, slope

pytestmark = [pytest.mark.netns, pytest.mark.soak]

SECONDS = float(os.environ.get("AMIGUARD_SOAK_SECONDS") or 1800)
PLOT = Path(os.environ.get("AMIGUARD_SOAK_PLOT") or ROOT / "docs/images/soak.svg")
INTERVAL = 5.0
"""Seconds between two samples."""

DISK = "256m"

MEMORY, FILES, TASKS = 2.0, 1, 2
"""By how much the last third of a soak may be above the second: MiB, and numbers."""

LATE = 0.01
"""The share of all looks at the clock that may be late by more than `TOLERATED`, beside the share of the time for which
the machine gave the processor to others."""


@pytest.mark.timeout(SECONDS + 300)
async def test_under_everything_at_once_nothing_grows_and_nothing_is_late() -> None:
    where = machine()
    async with arena(DISK) as place:
        place.stage.site.settings |= SETTINGS
        daemon = await place.up()
        samples = await soaked(place, daemon)
        assert daemon.process.poll() is None
        await place.bans()
        await place.still_drops()
        assert await daemon.stop() == 0
        with daemon.log.open("rb") as log:
            internal = [line for line in log if b'"internal-error"' in line]

    draw(where, samples)
    report(where, samples)
    assert internal == []
    assert growth(samples, lambda one: one.resident) < MEMORY
    assert growth(samples, lambda one: one.files) <= FILES
    assert growth(samples, lambda one: one.tasks) <= TASKS
    assert growth(samples, lambda one: one.threads) <= 0
    assert late(samples) <= LATE + kept_waiting(samples)
    assert samples[-1].bans - samples[0].bans > SECONDS  # or there was no load


def late(samples: list[Sample]) -> float:
    """Return which share of all looks was late by more than `TOLERATED`."""
    first, last = samples[0], samples[-1]
    return 1 - (last.punctual - first.punctual) / (last.looks - first.looks)


def kept_waiting(samples: list[Sample]) -> float:
    """Return for which share of the time the daemon waited for a processor."""
    first, last = samples[0], samples[-1]
    return (last.kept_waiting - first.kept_waiting) / (last.at - first.at)


async def soaked(place: Arena, daemon: Daemon) -> list[Sample]:
    """Put the load on a daemon, and return what was read of it meanwhile."""
    load = asyncio.create_task(Load(place, daemon).run())
    socket, began = place.stage.site.folder / "control.sock", time.monotonic()
    samples: list[Sample] = []
    try:
        while (at := time.monotonic() - began) < SECONDS:
            assert not load.done(), load.exception()
            samples.append(await sample(daemon, socket, at))
            await asyncio.sleep(INTERVAL)
    finally:
        load.cancel()
        await asyncio.wait({load})
    return samples


def draw(where: str, samples: list[Sample]) -> None:
    """Write the plot."""
    minutes = [one.at / 60 for one in samples]
    between = minutes[1:]
    pairs = list(pairwise(samples))
    rates = [(after.events - before.events) / (after.at - before.at) for before, after in pairs]
    busy = [100 * (after.cpu - before.cpu) / (after.at - before.at) for before, after in pairs]
    series = [
        Series("resident memory, MiB", minutes, [one.resident for one in samples]),
        Series("open files", minutes, [one.files for one in samples]),
        Series("tasks of the event loop", minutes, [one.tasks for one in samples]),
        Series("lateness of the event loop, ms (mean of 5 s)", between, lateness(samples)),
        Series("CPU, % of a core", between, busy),
        Series("events of Asterisk, 1/s", between, rates),
        Series("bans in force", minutes, [one.active for one in samples]),
    ]
    PLOT.write_text(plot(f"amiguard under mixed load · {where.partition(' · Linux')[0]}", series))


def report(where: str, samples: list[Sample]) -> None:
    """Print the figures as rows of a Markdown table."""
    first, last = samples[0], samples[-1]
    looks = last.looks - first.looks
    print(f"\n{where}\n\n| part | figure | measured | goal | met |\n|---|---|---|---|---|")
    figures = [
        Figure("length", last.at / 60, "min"),
        Figure("events", last.events - first.events, ""),
        Figure("bans", last.bans - first.bans, ""),
        Figure("memory, at most", max(one.resident for one in samples), "MiB"),
        Figure("memory, last third above the second", growth(samples, lambda one: one.resident), "MiB", MEMORY),
        Figure("memory, slope", slope(samples, lambda one: one.resident), "MiB/h"),
        Figure("files, last third above the second", growth(samples, lambda one: one.files), "", FILES),
        Figure("files, at most", max(one.files for one in samples), ""),
        Figure("tasks, last third above the second", growth(samples, lambda one: one.tasks), "", TASKS),
        Figure("tasks, at most", max(one.tasks for one in samples), ""),
        Figure("waiting for a processor that others had", 100 * kept_waiting(samples), "% of the time"),
        Figure("looks later than 100 ms", 100 * late(samples), "%", 100 * (LATE + kept_waiting(samples))),
        Figure("lateness, mean", 1000 * (last.late - first.late) / looks, "ms"),
        Figure("CPU", 100 * (last.cpu - first.cpu) / (last.at - first.at), "% of a core"),
    ]
    show("soak", figures)
