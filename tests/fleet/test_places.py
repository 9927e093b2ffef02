"""A Redis that sentinels watch over, and a cluster."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from amiguard.model import Target
from tests.lab.fleet import fleet
from tests.lab.netns import NetworkNamespace
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, attack

pytestmark = [pytest.mark.redis, pytest.mark.netns]

HERE = "127.0.0.1"
SENTINEL, FIRST, SECOND = 26379, 7001, 7002
SLOTS = 16_384


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    """Where the servers and the nodes are."""
    with NetworkNamespace("redis") as namespace, namespace.entered():
        yield namespace


def server(folder: Path, namespace: NetworkNamespace, port: int) -> Redis:
    inside = folder / str(port)
    inside.mkdir()
    return Redis(inside, namespace, HERE, port)


async def test_when_a_master_dies_the_nodes_go_on_with_the_one_that_the_sentinels_name(
    tmp_path: Path, namespace: NetworkNamespace
) -> None:
    master, replica = (server(tmp_path, namespace, port) for port in (FIRST, SECOND))
    sentinel = server(tmp_path, namespace, SENTINEL)
    file = sentinel.folder / "sentinel.conf"
    file.write_text(
        f"sentinel monitor fleet {HERE} {FIRST} 1\nsentinel down-after-milliseconds fleet 500\n"
        "sentinel failover-timeout fleet 3000\n"
    )
    async with AsyncExitStack() as stack:
        for one in (master, replica, sentinel):
            stack.push_async_callback(one.end)
        await master.start()
        await replica.start("--replicaof", HERE, str(FIRST))
        await sentinel.watch(file)
        await until(lambda: "connected_slaves:1" in master.info("replication"), 10, "the replica follows")
        await until(lambda: "slaves=1" in sentinel.info("sentinel"), 15, "the sentinel knows the replica")
        async with fleet(f"redis+sentinel://{HERE}:{SENTINEL}/fleet", 2) as [first, second]:
            attack(first.guard)
            await until(lambda: second.drops(ATTACKER))
            await until(lambda: replica.do("HLEN", "{amiguard}:bans") == 1)
            await master.end(signal.SIGKILL)
            attack(second.guard, "192.0.2.9")
            await until(lambda: second.drops("192.0.2.9"))
            await until(lambda: "role:master" in replica.info("replication"), 20, "the sentinel has chosen")
            await until(lambda: first.drops("192.0.2.9"), 5)
            await until(lambda: first.up and second.up, 5)


async def test_a_cluster_is_met_at_any_of_its_nodes(tmp_path: Path, namespace: NetworkNamespace) -> None:
    ports = (7001, 7002, 7003)
    servers = [server(tmp_path, namespace, port) for port in ports]
    async with AsyncExitStack() as stack:
        for number, one in enumerate(servers):
            stack.push_async_callback(one.end)
            await one.start("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            begin = SLOTS * number // len(servers)
            one.do("CLUSTER", "ADDSLOTSRANGE", begin, SLOTS * (number + 1) // len(servers) - 1)
        for port in ports[1:]:
            servers[0].do("CLUSTER", "MEET", HERE, port)
        await until(
            lambda: all("cluster_state:ok" in one.info("cluster") for one in servers), 20, "the cluster is whole"
        )
        for port in ports:
            await _share(f"redis+cluster://{HERE}:{port}", Target(f"192.0.2.{port % 100}"))
        await _share(f"redis+cluster://{HERE}:1,{HERE}:{ports[0]}", Target("192.0.2.99"))


async def _share(url: str, address: Target) -> None:
    """Have two nodes count, ban and unban together."""
    async with fleet(url, 2) as [first, second]:
        attack(first.guard, address, times=4)
        await until(lambda: first.node.status()["counted"] == 4)
        attack(second.guard, address, times=1)
        await until(lambda: first.drops(address) and second.drops(address))
        await first.guard.administration.unban(address)
        await until(lambda: not second.drops(address))
