"""What bans cost in nftables, beside what others need for the same, in a network namespace of its own.

By itself: `python -m tests.bench.bench_firewall` (as root)."""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, overload

from pyroute2.nftables.main import NFTables, NFTSet
from typing_extensions import override

from amiguard.firewalls.nftables import Nftables
from amiguard.firewalls.nftmessages import NFPROTO_INET
from amiguard.model import Ban, Reason, Target
from tests.bench.table import Figure, show
from tests.lab.netns import NetworkNamespace
from tests.netns.protecting import now, protecting

SINGLE = 5_000
BULK = 100_000
MILLION = 1_000_000
BY_COMMAND = 50
BY_PYROUTE2 = 500
AT_ONCE_BY_PYROUTE2 = 1_500
MEASURED = 200_000
HEALED = 1_000
HEALS = 9
HOUR = 3_600_000
IPV6 = "2001:db8::%x:%x:%x"
OTHER = "table inet other { set banned { type ipv4_addr; flags timeout; timeout 1h; }\n}\n"


class Bans(Sequence[Ban]):
    """Different addresses, each banned for an hour from a timestamp on, made as they are asked for."""

    def __init__(self, form: str, count: int, since: int = 0) -> None:
        """`form` has three places for bytes."""
        self._form = form
        self._count = count
        self._since = since

    @override
    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Ban: ...
    @overload
    def __getitem__(self, index: slice) -> list[Ban]: ...
    @override
    def __getitem__(self, index: int | slice) -> Ban | list[Ban]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError
        target = Target(self._form % (index >> 16, index >> 8 & 255, index & 255))
        return Ban(target, self._since, self._since + HOUR, Reason.MANUAL)


async def one_by_one(count: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
    """Seconds from each call to its acknowledgement."""
    taken = []
    for number in range(count):
        began = time.perf_counter()
        await call(number)
        taken.append(time.perf_counter() - began)
    return taken


class Turn(NamedTuple):
    """Seconds that the loop was away, so long an event would have waited, and how many of them it had the CPU."""

    away: float
    cpu: float


async def turns(stop: asyncio.Event) -> list[Turn]:
    """Return every turn of the loop until `stop`."""
    taken, away, cpu = [], time.perf_counter(), time.thread_time()
    while not stop.is_set():
        await asyncio.sleep(0)
        now, used = time.perf_counter(), time.thread_time()
        taken.append(Turn(now - away, used - cpu))
        away, cpu = now, used
    return taken


async def restored(bans: Sequence[Ban]) -> tuple[float, float, list[Turn]]:
    """Start with `bans`; seconds by the clock and of CPU that it took, and the turns of the loop meanwhile."""
    firewall, stop = Nftables("restored", owner=True), asyncio.Event()
    watching = asyncio.create_task(turns(stop))
    await asyncio.sleep(0)
    began, cpu = time.perf_counter(), time.process_time()
    await firewall.start([Target("127.0.0.0/8")], bans, 0)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    stop.set()
    await firewall.close()
    return seconds, cpu, await watching


async def singles() -> dict[str, list[float]]:
    """Seconds of each ban, one after the other, by family."""
    firewall = Nftables(owner=True)
    await firewall.start([], [], 0)
    taken = {}
    for family, bans in (("IPv4", Bans("10.%d.%d.%d", SINGLE)), ("IPv6", Bans(IPV6, SINGLE))):
        taken[family] = await one_by_one(SINGLE, partial(_ban, firewall, bans))
    await firewall.close()
    return taken


async def _ban(firewall: Nftables, bans: Bans, number: int) -> None:
    await firewall.ban([bans[number]], 0)


def by_nft(namespace: NetworkNamespace) -> tuple[float, float]:
    """Seconds of one `nft add element`, and of each element in a file for `nft -f`."""
    namespace.run(["nft", "-f", "-"], stdin=OTHER)
    taken = []
    for number in range(BY_COMMAND):
        began = time.perf_counter()
        namespace.run(["nft", "add", "element", "inet", "other", "banned", f"{{ 10.0.0.{number} }}"])
        taken.append(time.perf_counter() - began)
    many = ", ".join(ban.target for ban in Bans("20.%d.%d.%d", BULK))
    began = time.perf_counter()
    namespace.run(["nft", "-f", "-"], stdin=f"add element inet other banned {{ {many} }}\n")
    return statistics.median(taken), (time.perf_counter() - began) / BULK


def by_pyroute2() -> tuple[float, float]:
    """Seconds of one element by pyroute2's own call, and of each of many in one."""
    target = NFTSet(table="other", name="banned", key_type="ipv4_addr")  # type: ignore[no-untyped-call]
    with NFTables(nfgen_family=NFPROTO_INET) as nft:  # type: ignore[no-untyped-call]
        taken = []
        for ban in Bans("21.%d.%d.%d", BY_PYROUTE2):
            began = time.perf_counter()
            nft.set_elems("add", set=target, elements=[ban.target])
            taken.append(time.perf_counter() - began)
        began = time.perf_counter()
        nft.set_elems("add", set=target, elements=[ban.target for ban in Bans("22.%d.%d.%d", AT_ONCE_BY_PYROUTE2)])
        return statistics.median(taken), (time.perf_counter() - began) / AT_ONCE_BY_PYROUTE2


def kernel_memory() -> int:
    """Bytes that the kernel holds for itself."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in ("Slab", "VmallocUsed", "Percpu")) * 1024


async def memory(form: str) -> float:
    """Bytes of kernel memory for each ban."""
    firewall = Nftables(owner=True)
    await firewall.start([], [], 0)
    before = kernel_memory()
    await firewall.ban(Bans(form, MEASURED), 0)
    grown = kernel_memory() - before
    await firewall.close()
    return grown / MEASURED


async def heals(namespace: NetworkNamespace) -> list[float]:
    """Seconds from the end of `nft flush ruleset` until everything is in force again, where anybody may do that."""
    taken = []
    async with protecting(*Bans("10.%d.%d.%d", HEALED, now())) as protected:
        for number in range(HEALS):
            flushing = namespace.popen(["nft", "flush", "ruleset"])
            flushing.wait()
            began = time.perf_counter()
            await protected.healed_once_more(than=number)
            taken.append(time.perf_counter() - began)
    return taken


def a_million() -> None:
    """Restore a million bans, and print what it took: in a process of its own, for its memory."""
    seconds, cpu, away = asyncio.run(restored(Bans("10.%d.%d.%d", MILLION)))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    waits, busy = sorted(turn.away for turn in away), sorted(turn.cpu for turn in away)
    p99 = int(len(away) * 0.99)
    told = {"p99": waits[p99], "p99_cpu": busy[p99], "longest": waits[-1]}
    print(json.dumps(told | {"seconds": seconds, "cpu": cpu, "resident": resident}))


def small(namespace: NetworkNamespace) -> Iterator[Figure]:
    """Single bans and some 100,000, beside what others need."""
    taken = asyncio.run(singles())
    for family, each in taken.items():
        yield Figure(f"single ban, {family}: p50 to the acknowledgement", statistics.median(each) * 1e6, "µs", 50)
        yield Figure(f"single ban, {family}: mean (50 µs: 20,000 a second)", statistics.fmean(each) * 1e6, "µs", 50)
    many = list(Bans("100.%d.%d.%d", BULK))
    fresh, cpu, _ = asyncio.run(restored(many))
    yield Figure("many bans, each (2.5 µs: 400,000 a second)", fresh / BULK * 1e6, "µs", 2.5)
    yield Figure("many bans, each: of this, CPU", cpu / BULK * 1e6, "µs", 2.5)
    again, _, _ = asyncio.run(restored(many))
    yield Figure("many bans that are all there already, each", again / BULK * 1e6, "µs")
    for who, (one, of_many) in (
        ("`nft add element`, `nft -f`", by_nft(namespace)),
        ("pyroute2's `set_elems`", by_pyroute2()),
    ):
        yield Figure(f"{who}: as many times as long, a single ban", one / statistics.median(taken["IPv4"]), "x")
        yield Figure(f"{who}: as many times as long, each of many", of_many / (fresh / BULK), "x")


def figures() -> Iterator[Figure]:
    """Measure everything; the namespaces die with it. Kernel memory first: what others used is freed late."""
    for family, form in (("IPv4", "11.%d.%d.%d"), ("IPv6", IPV6)):
        with NetworkNamespace("bench") as namespace, namespace.entered():
            yield Figure(f"kernel memory for each ban, {family}", asyncio.run(memory(form)), "bytes")
    with NetworkNamespace("bench") as namespace, namespace.entered():
        yield from small(namespace)
    with NetworkNamespace("bench") as namespace, namespace.entered():
        told = json.loads(namespace.run([sys.executable, "-m", "tests.bench.bench_firewall", "a-million"]).stdout)
        what = f"{MILLION:,} bans"
        yield Figure(f"{what}: restored in", told["seconds"], "s", 5)
        yield Figure(f"{what}: of this, CPU", told["cpu"], "s")
        yield Figure(f"{what}: an event waits meanwhile, p99", told["p99"] * 1e3, "ms", 15)
        yield Figure(f"{what}: of this, CPU", told["p99_cpu"] * 1e3, "ms", 15)
        yield Figure(f"{what}: an event waits meanwhile, at most", told["longest"] * 1e3, "ms")
        yield Figure(f"{what}: resident, without the bans themselves", told["resident"] / 1e6, "MB", 250)
    with NetworkNamespace("bench") as namespace, namespace.entered():
        healed = asyncio.run(heals(namespace))
        what = f"`nft flush ruleset` without an owner, {HEALED:,} bans back"
        yield Figure(f"{what}: median", statistics.median(healed) * 1e3, "ms", 50)
        yield Figure(f"{what}: longest", max(healed) * 1e3, "ms")


def main() -> None:
    """Print the rows."""
    if sys.argv[1:] == ["a-million"]:
        a_million()
    else:
        show("kernel", figures())


if __name__ == "__main__":
    main()
