"""What bans cost in nftables, in a network namespace of its own: `python -m tests.bench.bench_firewall` (as root)."""

from __future__ import annotations

import asyncio
import ipaddress
import statistics
import time

from amiguard.firewalls.nftables import Nftables
from amiguard.model import Ban, Reason, Target
from tests.lab.netns import NetworkNamespace

SINGLE = 5_000
BULK = 100_000
HOUR = 3_600_000


def bans(first: str, count: int) -> list[Ban]:
    """`count` addresses from `first` on, each banned for an hour from timestamp 0."""
    start = ipaddress.ip_address(first)
    return [Ban(Target(str(start + number)), 0, HOUR, Reason.MANUAL) for number in range(count)]


async def singles(firewall: Nftables, wanted: list[Ban]) -> list[float]:
    """Ban one by one; microseconds from each call to the kernel's acknowledgement."""
    taken = []
    for ban in wanted:
        began = time.perf_counter()
        await firewall.ban([ban], 0)
        taken.append((time.perf_counter() - began) * 1e6)
    return taken


async def longest_stall(stop: asyncio.Event) -> float:
    """Milliseconds that the loop was away at most, until `stop`."""
    worst, last = 0.0, time.perf_counter()
    while not stop.is_set():
        await asyncio.sleep(0)
        now = time.perf_counter()
        worst, last = max(worst, now - last), now
    return worst * 1e3


async def restored(wanted: list[Ban]) -> tuple[float, float]:
    """Start with `wanted`; seconds that it took, and milliseconds of the longest stall of the loop."""
    firewall, stop = Nftables(), asyncio.Event()
    watching = asyncio.create_task(longest_stall(stop))
    await asyncio.sleep(0)
    began = time.perf_counter()
    await firewall.start([Target("127.0.0.0/8")], wanted, 0)
    seconds = time.perf_counter() - began
    stop.set()
    await firewall.close()
    return seconds, await watching


async def measure() -> None:
    firewall = Nftables()
    await firewall.start([], [], 0)
    for family, first in (("IPv4", "10.0.0.0"), ("IPv6", "2001:db8::")):
        taken = await singles(firewall, bans(first, SINGLE))
        p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[-1]
        rate = 1e6 / statistics.fmean(taken)
        print(f"single ban, {family}: p50 {p50:.0f} us, p99 {p99:.0f} us, {rate:,.0f} bans/s one by one")
    await firewall.close()
    for name, first in (
        ("into an empty set, IPv4", "100.0.0.0"),
        ("all there already, IPv4", "100.0.0.0"),
        ("IPv6", "fd00::"),
    ):
        seconds, stall = await restored(bans(first, BULK))
        rate = BULK / seconds
        print(
            f"{BULK:,} bans restored, {name}: {seconds:.2f} s, {rate:,.0f} bans/s, loop stalled {stall:.1f} ms at most"
        )


def main() -> None:
    with NetworkNamespace("bench") as namespace, namespace.entered():
        asyncio.run(measure())


if __name__ == "__main__":
    main()
