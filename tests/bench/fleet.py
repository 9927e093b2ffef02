"""What a fleet costs: how soon a ban is in all kernels, and what a thousand nodes are to one Redis."""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from typing_extensions import override

from amiguard.fleet.link import BEGINNING, Id, Link, Outgoing
from amiguard.fleet.messages import encode
from amiguard.fleet.node import Node
from amiguard.journal import Action
from amiguard.model import Address, Ban, Evidence, Failure, Origin, Reason, Target
from amiguard.nodes import Crowd, Exempted, Observation, Shared, Totals
from tests.bench.table import Figure, quantiles
from tests.lab.fleet import kernels, settings
from tests.lab.guessing import attacker
from tests.lab.journal import RecordingJournal, SilentJournal
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import POLICY, attack

NODES, BANS = 20, 500

MANY = 1_000
FAILURES = 500
"""A second, on all nodes together."""

SECONDS = 20
COUNTED = 10_000
"""Failures that are counted at once, for what one costs."""

TOLD = 20
"""Bans that all of the many nodes hear."""

DAY = 86_400_000


class Stopwatch(RecordingJournal):
    """Notes when the kernel had taken each ban."""

    def __init__(self) -> None:
        super().__init__()
        self.at: dict[str, float] = {}

    @override
    def write(self, action: Action, message: str = "", /, **fields: object) -> None:
        ban = fields.get("ban")
        if action is Action.BAN and isinstance(ban, Ban):
            self.at[ban.target] = time.perf_counter()


async def sharing() -> list[Figure]:
    """Measure both."""
    return [*await real_kernels(), *await many_nodes()]


async def real_kernels() -> list[Figure]:
    """Measure from the fifth failure on one node to the kernel's acknowledgement on each other: all guards run in this
    one process, each on a kernel of its own."""
    taken = []
    watches = [Stopwatch() for _ in range(NODES)]
    async with running() as server, kernels(server.url, NODES, watches) as members:
        for number in range(BANS):
            address, first = attacker(number), number % NODES
            began = time.perf_counter()
            attack(members[first].guard, address)
            await until(lambda address=address: all(address in one.at for one in watches))  # type: ignore[misc]
            taken += [one.at[address] - began for place, one in enumerate(watches) if place != first]
        assert all(attacker(BANS - 1) in one.listed() for one in members)
    return quantiles(f"fifth failure on one of {NODES} nodes → kernels of the others", taken, p99=50)


class Quiet:
    """A node's inside that only hears."""

    def __init__(self) -> None:
        self.reached = 0

    async def take(self, changes: Sequence[Shared], *, missed: bool) -> None:
        pass

    def bans(self) -> Iterable[Ban]:
        return ()

    def exempted(self) -> Iterable[Exempted]:
        return ()

    def counted(self, observation: Observation, totals: Totals) -> None:
        self.reached += 0 < observation.maxretry <= totals.failures


class Spent(NamedTuple):
    """What Redis has used up to now."""

    at: float
    cpu: float
    received: int
    sent: int
    memory: int

    @staticmethod
    def by(server: Redis) -> Spent:
        info: dict[str, float] = server.do("INFO", "everything")
        cpu = info["used_cpu_sys"] + info["used_cpu_user"]
        received, sent = int(info["total_net_input_bytes"]), int(info["total_net_output_bytes"])
        return Spent(time.perf_counter(), cpu, received, sent, int(info["used_memory"]))


class Cost(NamedTuple):
    """What Redis spends."""

    cpu: float
    """Of one core."""
    bytes: float
    """A second, in and out."""

    @staticmethod
    def between(before: Spent, after: Spent) -> Cost:
        took, cpu = after.at - before.at, after.cpu - before.cpu
        moved = after.received - before.received + after.sent - before.sent
        return Cost(cpu / took, moved / took)


async def many_nodes() -> list[Figure]:
    """Measure what `MANY` nodes cost Redis: their protocol in full, and nothing behind it. They share one process, so
    it is what Redis spends that counts, and not how long they take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        async with running() as server:
            return await _measure(server)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _measure(server: Redis) -> list[Figure]:
    each, counted = await _counting(server)
    empty = Spent.by(server)
    insides = [Quiet() for _ in range(MANY)]
    nodes = [Node(settings(server.url, f"pbx{number}"), SilentJournal(), _now) for number in range(MANY)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.run(inside)) for node, inside in zip(nodes, insides, strict=True)]
        try:
            await until(lambda: all(node.status()["up"] for node in nodes), 120, "all nodes are connected")
            before = Spent.by(server)
            await asyncio.sleep(SECONDS)
            began = Spent.by(server)
            idle = Cost.between(before, began)
            await _failing(nodes)
            attacked = Cost.between(began, Spent.by(server))
            reached = sum(inside.reached for inside in insides)
        finally:
            for task in tasks:
                task.cancel()
    a_ban = await _telling(server)
    return [
        Figure(f"{MANY} idle nodes: Redis' processor", idle.cpu * 100, "%"),
        Figure(f"{MANY} idle nodes: bytes a second and node", idle.bytes / MANY, "B"),
        Figure(f"{MANY} idle nodes: Redis' memory, a node", (before.memory - empty.memory) / MANY / 1000, "kB"),
        Figure("Redis' processor, a failure", each * 1e6, "µs"),
        Figure(f"{MANY} nodes and {FAILURES} failures/s: Redis' processor", attacked.cpu * 100, "%", 50),
        Figure("the same: bytes a second and node", attacked.bytes / MANY, "B"),
        Figure(f"{MANY} nodes: failures/s at which one core of Redis is full", (1 - idle.cpu) / each, "/s"),
        Figure(f"{COUNTED:,} failures: Redis' memory", counted / 1e6, "MB"),
        Figure("reports of too many failures", reached, ""),
        Figure(f"Redis' processor, a ban that {MANY} nodes hear", a_ban * 1000, "ms"),
        Figure(f"{MANY} nodes: bans/s at which one core of Redis is full", (1 - idle.cpu) / a_ban, "/s"),
    ]


async def _failing(nodes: Sequence[Node]) -> None:
    """Have failures observed at random nodes: of some attackers who are everywhere, and of many who come once."""
    random = Random(1)
    due = time.perf_counter()
    for _ in range(SECONDS * 10):
        for _ in range(FAILURES // 10):
            random.choice(nodes).observe(_failure(random))
        due += 0.1
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await until(lambda: not any(node._tally._waiting for node in nodes), 60)


def _failure(random: Random) -> Observation:
    often = random.random() < 0.5
    address = f"192.0.2.{random.randrange(200)}" if often else f"2001:db8:{random.randrange(1 << 16):x}::1"
    account = str(100 + random.randrange(50))
    failure = Failure(
        Address(Target(address)),
        _now(),
        Reason.WRONG_PASSWORD,
        1,
        Evidence.DATAGRAM,
        "",
        "PJSIP",
        "UDP",
        5060,
        account,
        "",
        "ami",
    )
    network = Crowd(f"{address[:-1]}/64", 5, DAY) if ":" in address else None
    return Observation(failure, POLICY.findtime, POLICY.maxretry, network, True, Crowd(account, 20, 3_600_000))


async def _counting(server: Redis) -> tuple[float, int]:
    """Return what a failure costs Redis, in seconds, and `COUNTED` of them, in bytes, while nobody else asks."""
    random, link, before = Random(2), Link(settings(server.url, "count")), Spent.by(server)
    for _ in range(COUNTED // 100):
        await link.count([(f"x:{number}", _failure(random)) for number in range(100)], _now())
    after = Spent.by(server)
    await link.close()
    server.do("FLUSHALL")
    return (after.cpu - before.cpu) / COUNTED, after.memory - before.memory


async def _telling(server: Redis) -> float:
    """Return what a ban costs Redis, in seconds, until `MANY` connections that wait for it have heard of it and wait
    for the next one. They ask for nothing else."""
    ban = Ban(Target("192.0.2.1"), _now(), None, Reason.WRONG_PASSWORD, Origin.LOCAL, Evidence.CONNECTED)
    message = encode(ban, "pbx", "0" * 16, _now())
    writer, *readers = [Link(settings(server.url, "pbx")) for _ in range(MANY + 1)]
    greeting = await writer.greet("")
    places = [greeting.newest or BEGINNING] * MANY
    spent = 0.0
    for number in range(TOLD + 1):
        before = Spent.by(server)
        hearing = [asyncio.create_task(_hear(*one)) for one in zip(readers, places, strict=True)]
        await until(lambda: server.do("INFO", "clients")["blocked_clients"] >= MANY * 0.9, 60, "all wait")
        await writer.share([Outgoing("ban", Target(f"203.0.113.{number}"), message, 0)])
        places = await asyncio.gather(*hearing)
        spent += Spent.by(server).cpu - before.cpu if number else 0  # first, all connect
    for link in (writer, *readers):
        await link.close()
    return spent / TOLD


async def _hear(link: Link, place: Id) -> Id:
    """Wait for a message, however long."""
    while not (messages := await link.read(place)):
        pass
    return messages[-1][0]


def _now() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def running() -> AsyncIterator[Redis]:
    """A Redis of our own."""
    with tempfile.TemporaryDirectory() as folder:
        server = Redis(Path(folder))
        await server.start("--maxclients", "9000")
        try:
            yield server
        finally:
            await server.end()
