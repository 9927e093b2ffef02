"""Debian's firewalld beside amiguard: what it does to its own rules lets nobody through whom amiguard dropped.

While it reloads, firewalld 1.3 drops whatever comes in; so a hole shows before and behind that alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from amiguard.firewalls.ipset.firewall import Ipset
from amiguard.firewalls.nftables import Nftables
from tests.lab.firewalld import firewalld
from tests.netns.protecting import guarding
from tests.netns.test_ipset import dropped
from tests.netns.test_ipset_healing import PORT, PROMISE, RULE, hole
from tests.netns.wire import FAR_V4, V4, V4_NEIGHBOUR, V6, V6_NEIGHBOUR, Wire, ban

pytestmark = pytest.mark.netns


@pytest.mark.alone
@pytest.mark.parametrize("backend", ["nftables", "iptables"])
async def test_a_reload_of_firewalld_touches_no_table_of_nftables_and_ipsets_rules_are_back_in_time(
    wire: Wire, servers_root: Path, tmp_path: Path, backend: str
) -> None:
    ipset = Ipset()
    with firewalld(servers_root, tmp_path, backend, wire.server) as other:
        async with (
            guarding(Nftables(owner=True), ban(V4)) as owned,
            guarding(Nftables("amiguard-b"), ban(V6, absolute=False)) as free,
            guarding(ipset, ban(FAR_V4)) as iptables,
        ):
            await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
            with hole(wire, V4) as first, hole(wire, V6) as second, hole(wire, FAR_V4, PORT + 1) as third:
                for command in ("--reload", "--complete-reload"):
                    before = len(iptables.healed())
                    assert await asyncio.to_thread(other.cmd, command) == "success"
                    await iptables.healed_once_more(than=before)
                    await dropped(wire, ipset, FAR_V4)
                    assert third.seconds() < PROMISE
                first.seconds()
                second.seconds()
                assert (first.arrived, second.arrived) == (0, 0)
            assert (owned.healed(), free.healed()) == ([], [])
            assert all(line.message.startswith(RULE) for line in iptables.healed())
            await wire.passes(V4_NEIGHBOUR, V6_NEIGHBOUR)
