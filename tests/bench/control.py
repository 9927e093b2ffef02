"""What a crowd at the control interface costs the bans."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from statistics import median

from tests.bench.crowd import HOSTILE, READERS
from tests.bench.monitor import Monitor
from tests.bench.table import Figure, quantiles
from tests.lab.daemon import ROOT
from tests.lab.guessing import attacker, attempt, attempts
from tests.lab.stage import Stage, stage

PORT = 9180
ROUNDS = 5
BANS = 1_000
"""Measured in a round without the crowd, and again with it."""

FLOOD = 50
"""Attempts of others that stand before each event that bans: the flood."""

NICE = -15
AUTOGROUP = -20
"""The same for whole sessions, which is what counts beside whatever else this machine does: sched(7)."""

PAUSE = (0.002, 0.010)


async def control() -> list[Figure]:
    """Measure bans in a flood, in turn with the crowd elsewhere and at the control interface."""
    quiet: list[list[float]] = []
    crowded: list[list[float]] = []
    numbers = count()
    async with stage(HTTP_LISTEN=f"127.0.0.1:{PORT}", MAXRETRY="5") as place:
        preferred(os.getpid())
        preferred((await place.site.up()).pid)
        monitor = Monitor(place.namespace)
        try:
            for _ in range(ROUNDS):
                with crowd(place):
                    quiet.append(await banned(place, monitor, numbers))
                with crowd(place, str(PORT)):
                    crowded.append(await banned(place, monitor, numbers))
        finally:
            monitor.close()
    ratios = [percentile(after) / percentile(before) for before, after in zip(quiet, crowded, strict=True)]
    who = f"{READERS} clients that read and {len(HOSTILE)} hostile ones"
    return [
        *quantiles("ban in a flood, a busy machine, nobody at the control interface", [*chain.from_iterable(quiet)]),
        *quantiles(f"ban in a flood, {who}", [*chain.from_iterable(crowded)]),
        Figure(f"how much later the slowest hundredth is, median of {ROUNDS} rounds", median(ratios), "times", 1.2),
        Figure("the same, the least and", min(ratios), "times"),
        Figure("the most of the rounds", max(ratios), "times"),
    ]


def preferred(pid: int) -> None:
    """Let a process go before whatever else this machine does: only the crowd's requests are to disturb it."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), NICE)
    with suppress(FileNotFoundError):  # a kernel without CONFIG_SCHED_AUTOGROUP
        Path(f"/proc/{pid}/autogroup").write_text(str(AUTOGROUP))


def percentile(took: list[float]) -> float:
    """Return what 99 of 100 are below."""
    return sorted(took)[len(took) * 99 // 100]


async def banned(place: Stage, monitor: Monitor, numbers: Iterator[int]) -> list[float]:
    """Return how long the kernel's acknowledgement took, in seconds, of `BANS` attackers in a flood."""
    (session,) = place.server.listeners
    took = []
    for _ in range(BANS):
        address = attacker(next(numbers))
        events = b"".join(attempt(address) for _ in range(5))
        start = events.rindex(b"Event: ")
        others = b"".join(attempts([f"198.19.{random.randrange(200)}.{random.randrange(256)}"], FLOOD // 25))
        await session.play(events[:start])
        await asyncio.sleep(random.uniform(*PAUSE))
        before = time.perf_counter()
        session.transport.write(others * 25 + events[start:])
        took.append(monitor.committed(address) - before)
    return took


@contextmanager
def crowd(place: Stage, *port: str) -> Iterator[None]:
    """Let the crowd in for as long as this lasts; without a port, one that only takes the CPU."""
    command = [sys.executable, "-m", "tests.bench.crowd", *port]
    process = place.namespace.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(10)
