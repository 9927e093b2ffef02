"""`make bench`: what amiguard costs on this machine, as a Markdown table. Needs root; leaves nothing behind.

python -m tests.bench [PART ...]        measures these, all by default"""

from __future__ import annotations

import asyncio
import subprocess
import sys

from tests.bench import bench_firewall, bench_follow, bench_ipset, bench_loglines
from tests.bench.control import control
from tests.bench.fleet import sharing
from tests.bench.flood import flood
from tests.bench.forged import forged
from tests.bench.idle import idle
from tests.bench.peers.comparison import comparison
from tests.bench.reaction import reaction
from tests.bench.restore import restore
from tests.bench.table import machine, show

PARTS = {
    "reaction": reaction,
    "flood": flood,
    "start": restore,
    "idle": idle,
    "forged": forged,
    "control": control,
    "fleet": sharing,
}
KERNELS = {"kernel": bench_firewall.figures, "ipset": bench_ipset.figures}
LOGS = {"lines": bench_loglines.main, "following": bench_follow.main}
ALL = (*PARTS, *KERNELS, *LOGS, "peers")


def main(names: list[str]) -> int:
    """Measure one part after the other, for they would disturb each other, each in a process whose memory holds nothing
    of another. Return 0, or how the first that failed ended."""
    if len(names) == 1:
        measure(names[0])
        return 0
    print(f"{machine()}\n\n| part | figure | measured | goal | met |\n|---|---|---|---|---|", flush=True)
    ended = [subprocess.run([sys.executable, "-m", "tests.bench", name], check=False) for name in names or ALL]
    return next((one.returncode for one in ended if one.returncode), 0)


def measure(name: str) -> None:
    """Measure one part, and print its figures."""
    if name in PARTS:
        show(name, asyncio.run(PARTS[name]()))
    elif name in KERNELS:
        show(name, KERNELS[name]())
    elif name in LOGS:
        print(f"\n{name}, in this process, CPU time:\n", flush=True)
        LOGS[name]()
    else:
        print("\nBeside others:\n", flush=True)
        asyncio.run(comparison())


sys.exit(main(sys.argv[1:]))
