"""What bans cost in ipset, beside its own program, in a network namespace of its own.

By itself: `python -m tests.bench.bench_ipset` (as root)."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

from amiguard.firewalls.ipset.firewall import Ipset
from tests.bench.bench_firewall import BULK, BY_COMMAND, Bans, one_by_one
from tests.bench.table import Figure, show
from tests.lab.netns import NetworkNamespace
from tests.netns.protecting import guarding, now

SINGLE = 5_000
HEALS = 9
OTHER = "create other hash:ip timeout 3600 maxelem 1048576\n"


async def ours() -> tuple[list[float], float]:
    """Seconds of each ban, one after the other, and of each of many."""
    firewall = Ipset()
    await firewall.start([], [], 0)
    bans = Bans("10.%d.%d.%d", SINGLE)

    async def ban(number: int) -> None:
        await firewall.ban([bans[number]], 0)

    taken = await one_by_one(SINGLE, ban)
    await firewall.close()
    await firewall.withdraw()
    many = list(Bans("100.%d.%d.%d", BULK))
    began = time.perf_counter()
    await firewall.start([], many, 0)
    seconds = time.perf_counter() - began
    await firewall.close()
    return taken, seconds / BULK


def by_program(namespace: NetworkNamespace) -> tuple[float, float]:
    """Seconds of one `ipset add`, and of each element in a file for `ipset restore`."""
    namespace.run(["ipset", "restore"], stdin=OTHER)
    taken = []
    for number in range(BY_COMMAND):
        began = time.perf_counter()
        namespace.run(["ipset", "add", "other", f"10.0.0.{number}"])
        taken.append(time.perf_counter() - began)
    lines = "".join(f"add other {ban.target}\n" for ban in Bans("20.%d.%d.%d", BULK))
    began = time.perf_counter()
    namespace.run(["ipset", "restore"], stdin=lines)
    return statistics.median(taken), (time.perf_counter() - began) / BULK


async def heals(namespace: NetworkNamespace, damage: list[str]) -> list[float]:
    """Seconds from the end of a command until everything that it took away is in force again."""
    taken = []
    async with guarding(Ipset(), *Bans("10.%d.%d.%d", 1_000, now())) as protected:
        for number in range(HEALS):
            await asyncio.to_thread(namespace.run, damage)
            began = time.perf_counter()
            await protected.healed_once_more(than=number)
            taken.append(time.perf_counter() - began)
    return taken


def figures() -> Iterator[Figure]:
    """Measure everything; the namespaces die with it."""
    with NetworkNamespace("bench") as namespace, namespace.entered():
        taken, each = asyncio.run(ours())
        one, of_many = by_program(namespace)
        yield Figure("single ban: p50 to the acknowledgement", statistics.median(taken) * 1e6, "µs", 50)
        yield Figure("single ban: mean (50 µs: 20,000 a second)", statistics.fmean(taken) * 1e6, "µs", 50)
        yield Figure("many bans, each (2.5 µs: 400,000 a second)", each * 1e6, "µs", 2.5)
        yield Figure("`ipset add`: as many times as long", one / statistics.median(taken), "x")
        yield Figure("`ipset restore`: as many times as long, each of many", of_many / each, "x")
    for damage in (["nft", "flush", "ruleset"], ["ipset", "flush"], ["ipset", "del", "amiguard4", "10.0.0.7"]):
        with NetworkNamespace("bench") as namespace, namespace.entered():
            healed = asyncio.run(heals(namespace, damage))
            yield Figure(
                f"`{' '.join(damage)}` among 1,000 bans, back after: median", statistics.median(healed) * 1e3, "ms", 50
            )


if __name__ == "__main__":
    show("ipset", figures())
