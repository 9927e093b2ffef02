"""What each part of the daemon costs to import, in memory and CPU time: `python -m tests.bench.bench_imports`.

In the order in which the daemon comes to them: what several need is told where it is needed first."""

from __future__ import annotations

import resource
import sys
import time
from importlib import import_module
from pathlib import Path

PARTS = {
    "asyncio": ("asyncio",),
    "subprocess, settings": ("amiguard.cli.starting",),
    "structlog": ("amiguard.logs",),
    "aiosqlite, store": ("amiguard.stores.sqlite",),
    "guard and rules": ("amiguard.guard",),
    "pyroute2, nftables": ("amiguard.firewalls.nftables",),
    "panoramisk, AMI": ("amiguard.sources.ami",),
    "log grammar, asyncinotify": ("amiguard.sources.logfile",),
    "the rest of the daemon": ("amiguard.daemon",),
    "jinja2, aiosmtplib, mail": ("amiguard.notifiers.mail",),
    "aiohttp, with the first client": ("amiguard.control.api",),
    "not in the daemon: pydantic": ("amiguard.settings.loading",),
    "not in the daemon: typer": ("amiguard.cli.commands",),
}


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    print("| part | MB | ms of CPU | modules |\n|---|---|---|---|")
    print(f"| Python | {resident() / 1e6:.1f} | {time.process_time() * 1e3:.0f} | {len(sys.modules)} |")
    for name, modules in PARTS.items():
        memory, spent, known = resident(), time.process_time(), len(sys.modules)
        for module in modules:
            import_module(module)
        spent = time.process_time() - spent
        print(f"| {name} | {(resident() - memory) / 1e6:.1f} | {spent * 1e3:.0f} | {len(sys.modules) - known} |")
    print(f"| in all | {resident() / 1e6:.1f} | {time.process_time() * 1e3:.0f} | {len(sys.modules)} |")


if __name__ == "__main__":
    main()
