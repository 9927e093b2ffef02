"""Nodes of a fleet: whole guards with a firewall that remembers, or with a kernel each, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from amiguard.firewalls.nftables import Nftables
from amiguard.fleet.node import Node
from amiguard.fleet.settings import FleetSettings
from amiguard.guard import Guard
from amiguard.journal import Action
from amiguard.model import Target
from amiguard.policy import Policy
from tests.lab.journal import RecordingJournal
from tests.lab.netns import NetworkNamespace
from tests.lab.waiting import until
from tests.lab.world import POLICY, World


@dataclass
class Member:
    """A node that runs."""

    world: World
    node: Node
    guard: Guard

    @property
    def up(self) -> bool:
        return bool(self.node.status()["up"])

    def drops(self, *targets: str) -> bool:
        return set(targets) <= self.world.firewall.dropped.keys()

    def logged(self, action: Action) -> int:
        return self.world.journal.count(action)


def settings(url: str, name: str) -> FleetSettings:
    return FleetSettings(url, "test", name, "amiguard", "0.1.0")


@asynccontextmanager
async def member(url: str, name: str, world: World | None = None) -> AsyncIterator[Member]:
    """Run a node; it need not be connected yet."""
    world = World() if world is None else world
    node = Node(settings(url, name), world.journal, lambda: world.now)
    world.fleet = node
    async with world.running() as guard:
        yield Member(world, node, guard)


@asynccontextmanager
async def fleet(url: str, count: int) -> AsyncIterator[list[Member]]:
    """Run nodes whose clocks are a minute apart, and wait until all are connected."""
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(member(url, f"pbx{number}", World(now=1_000_000 + 60_000 * number)))
            for number in range(count)
        ]
        await until(lambda: all(one.up for one in members), what="all nodes are connected")
        yield members


@dataclass
class Kernel:
    """A node whose bans are in the kernel of a namespace of its own."""

    namespace: NetworkNamespace
    guard: Guard
    node: Node
    journal: RecordingJournal

    def bans(self, target: str) -> bool:
        """Whether the kernel has acknowledged it."""
        return self.guard.administration.find(Target(target)) is not None

    def listed(self) -> str:
        """What the kernel itself tells."""
        return self.namespace.run(["nft", "list", "table", "inet", "amiguard"]).stdout


@asynccontextmanager
async def kernel(
    url: str, name: str, journal: RecordingJournal | None = None, policy: Policy = POLICY
) -> AsyncIterator[Kernel]:
    """Run a node on a kernel of its own. All its sockets of netlink are opened before anything else may run."""
    world = World(journal=journal or RecordingJournal(), now=1_000_000)
    with NetworkNamespace(name) as namespace:
        firewall = Nftables(owner=True)
        node = Node(settings(url, name), world.journal, lambda: world.now)
        guard = Guard(
            policy,
            [Target("127.0.0.0/8")],
            firewall=firewall,
            store=world.store,
            notifiers=[],
            journal=world.journal,
            clock=lambda: world.now,
            fleet=node,
        )
        with namespace.entered():
            await guard.start()
            await firewall.interrupt([Target("192.0.2.255"), Target("2001:db8::ff")])
        task = asyncio.create_task(guard.run())
        try:
            yield Kernel(namespace, guard, node, world.journal)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await guard.close()
            await guard.free()


@asynccontextmanager
async def kernels(
    url: str, count: int, journals: Sequence[RecordingJournal | None] = (), policy: Policy = POLICY
) -> AsyncIterator[list[Kernel]]:
    """Run nodes, each on a kernel of its own, and wait until all are connected."""
    async with AsyncExitStack() as stack:
        given = [*journals, *[None] * count][:count]
        members = [
            await stack.enter_async_context(kernel(url, f"pbx{number}", journal, policy))
            for number, journal in enumerate(given)
        ]
        await until(lambda: all(one.node.status()["up"] for one in members), 10, "all nodes are connected")
        yield members
