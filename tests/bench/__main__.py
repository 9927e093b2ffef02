"""`make bench`: what amiguard costs on this machine, as a Markdown table. Needs root; leaves nothing behind."""

from __future__ import annotations

import asyncio

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


def main() -> None:
    """Measure one part after the other, for they would disturb each other."""
    print(f"{machine()}\n\n| part | figure | measured | goal | met |\n|---|---|---|---|---|")
    for name, measure in PARTS.items():
        show(name, asyncio.run(measure()))
    show("kernel", bench_firewall.figures())
    show("ipset", bench_ipset.figures())
    print("\nLog lines: reading, in this process, CPU time:\n", flush=True)
    bench_loglines.main()
    print("\nFollowing a file, without reading its lines:\n", flush=True)
    bench_follow.main()
    print("\nBeside others:\n", flush=True)
    asyncio.run(comparison())


main()
