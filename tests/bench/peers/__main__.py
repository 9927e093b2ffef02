"""amiguard beside others, in one run: `python -m tests.bench.peers` (as root)."""

from __future__ import annotations

import asyncio

from tests.bench.peers.comparison import comparison
from tests.bench.table import machine

if __name__ == "__main__":
    print(f"{machine()}\n")
    asyncio.run(comparison())
