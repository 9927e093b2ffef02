"""Nodes of a fleet: whole guards with a firewall that remembers, on a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from amiguard.fleet.node import Node
from amiguard.fleet.settings import FleetSettings
from amiguard.guard import Guard
from amiguard.journal import Action
from tests.lab.waiting import until
from tests.lab.world import World


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
