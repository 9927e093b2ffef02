"""How fast logs are read, with a sink that does nothing: `python -m tests.bench.bench_follow [MIB]`."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from amiguard.ports import Position
from amiguard.sources.logfile import LogSource
from amiguard.sources.logfile.tail import NO_HEAD
from tests.bench.table import Figure, show
from tests.lab.journal import SilentJournal
from tests.lab.logwriter import line
from tests.lab.waiting import until

MIB = 1 << 20
TRIES = 500


def sink(path: Path, line: bytes, live: bool) -> None: ...


def milliseconds() -> int:
    return time.monotonic_ns() // 1_000_000


def source(log: Path) -> LogSource:
    """A source that begins at the first byte."""
    found = log.stat()
    position = Position(str(log), found.st_dev, found.st_ino, 0, NO_HEAD)
    return LogSource([log], sink, SilentJournal(), milliseconds, positions={str(log): position})


async def scanned(log: Path, lines: int) -> float:
    """Read a log to its end; seconds of this process's CPU."""
    follower = source(log)
    began = time.process_time()
    task = asyncio.create_task(follower.run())
    await until(lambda: follower.status()["lines"] == lines, 600, "the end")
    spent = time.process_time() - began
    task.cancel()
    await asyncio.wait({task})
    return spent


async def delays(log: Path) -> list[float]:
    """Milliseconds from a write to its line, each after a pause in which the source waits."""
    arrived = asyncio.Event()
    follower = LogSource([log], lambda *_: arrived.set(), SilentJournal(), milliseconds)
    task = asyncio.create_task(follower.run())
    taken = []
    fd = os.open(log, os.O_WRONLY | os.O_APPEND)
    for number in range(TRIES):
        await asyncio.sleep(0.01)
        arrived.clear()
        began = time.perf_counter()
        os.write(fd, line(number) + b"\n")
        await arrived.wait()
        taken.append((time.perf_counter() - began) * 1e3)
    os.close(fd)
    task.cancel()
    await asyncio.wait({task})
    return taken


async def idle(log: Path) -> float:
    """The share of one core that following a quiet log costs, in per cent."""
    task = asyncio.create_task(LogSource([log], sink, SilentJournal(), milliseconds).run())
    await asyncio.sleep(0.1)
    began = time.process_time()
    await asyncio.sleep(2)
    spent = time.process_time() - began
    task.cancel()
    await asyncio.wait({task})
    return spent / 2 * 100


def figures(size: int = 1_024 * MIB) -> Iterator[Figure]:
    """Measure it all, the first with a log of `size` bytes."""
    with TemporaryDirectory(prefix="amiguard-bench-") as folder:
        log = Path(folder, "full")
        block = b"".join(line(number) + b"\n" for number in range(5_000))
        blocks = size // len(block)
        with log.open("wb") as file:
            for _ in range(blocks):
                file.write(block)
        lines = blocks * 5_000
        spent = asyncio.run(scanned(log, lines))
        what = f"a log of {size / MIB:,.0f} MiB"
        yield Figure(f"{what}: lines a second of CPU", lines / spent, "")
        yield Figure(f"{what}: most memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, "MB")
        taken = asyncio.run(delays(log))
        yield Figure("from a write to its line: p50", statistics.median(taken), "ms")
        yield Figure("from a write to its line: p99", statistics.quantiles(taken, n=100)[-1], "ms")
        yield Figure("a quiet log: share of a core", asyncio.run(idle(log)), "%")


if __name__ == "__main__":
    show("following", figures(*(int(mib) * MIB for mib in sys.argv[1:])))
