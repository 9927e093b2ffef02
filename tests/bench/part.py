"""One part of the benchmark: `python -m tests.bench.part NAME`, in a process whose memory holds nothing of another."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable

from tests.bench import bench_firewall, bench_follow, bench_ipset, bench_loglines
from tests.bench.control import control
from tests.bench.fleet import sharing
from tests.bench.flood import flood
from tests.bench.forged import forged
from tests.bench.idle import idle
from tests.bench.peers.comparison import comparison
from tests.bench.reaction import reaction
from tests.bench.restore import restore
from tests.bench.table import Figure, show

ROWS: dict[str, Callable[[], Iterable[Figure]]] = {
    "reaction": lambda: asyncio.run(reaction()),
    "flood": lambda: asyncio.run(flood()),
    "start": lambda: asyncio.run(restore()),
    "idle": lambda: asyncio.run(idle()),
    "forged": lambda: asyncio.run(forged()),
    "control": lambda: asyncio.run(control()),
    "fleet": lambda: asyncio.run(sharing()),
    "kernel": bench_firewall.figures,
    "ipset": bench_ipset.figures,
    "following": bench_follow.figures,
}
"""What fills rows of the one table."""

TABLES: dict[str, Callable[[], None]] = {
    "lines": bench_loglines.main,
    "peers": lambda: asyncio.run(comparison()),
}
"""What prints a table of its own."""

HEADINGS = {"lines": "Log lines, read in one process, a second of CPU", "peers": "Beside others"}


def measure(name: str) -> None:
    """Measure one part, and print its figures."""
    if name in ROWS:
        show(name, ROWS[name]())
    else:
        print(f"\n{HEADINGS[name]}:\n", flush=True)
        TABLES[name]()


if __name__ == "__main__":
    measure(sys.argv[1])
