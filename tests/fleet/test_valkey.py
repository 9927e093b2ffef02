"""Valkey in the place of Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amiguard.model import Target
from tests.fleet.test_trust import acl
from tests.lab.fleet import fleet, member
from tests.lab.redis import Redis
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, attack

pytestmark = pytest.mark.valkey


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[Redis]:
    """A Valkey that runs."""
    server = Redis(tmp_path, engine="valkey")
    try:
        await server.start()
        yield server
    finally:
        await server.end()


async def test_nodes_count_ban_unban_and_allow_together_over_valkey_with_the_documented_acl(valkey: Redis) -> None:
    assert b"valkey" in valkey.do("HELLO", "2")
    valkey.do(*acl())
    url = f"{valkey.url.replace('unix://', 'unix://amiguard@')}?db=0&password=PASSWORD"
    async with fleet(url, 3) as [first, second, third]:
        attack(first.guard, times=3)
        await until(lambda: first.node.status()["counted"] == 3)
        attack(second.guard, times=2)
        await until(lambda: all(one.drops(ATTACKER) for one in (first, second, third)))
        await third.guard.administration.unban(ATTACKER)
        await until(lambda: not any(one.drops(ATTACKER) for one in (first, second, third)))
        await third.guard.administration.allow(Target("198.51.100.0/24"), "")
        await first.guard.administration.ban(Target("192.0.2.9"), None, "")
        async with member(url, "new") as new:
            await until(lambda: new.drops("192.0.2.9") and "198.51.100.0/24" in new.world.firewall.allowed)
