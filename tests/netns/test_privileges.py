from __future__ import annotations

import sys
from errno import EPERM
from pathlib import Path

import pytest

from amiguard.firewalls.nftables import Nftables, probe
from tests.netns.unprivileged import CAP_NET_ADMIN, NOBODY
from tests.netns.wire import V4, Wire, ban

pytestmark = pytest.mark.netns
SCRIPT = Path(__file__).with_name("unprivileged.py")


async def test_a_user_with_net_admin_and_nothing_else_can_ban(wire: Wire) -> None:
    said = wire.server.run([sys.executable, SCRIPT, "net-admin", V4], timeout=20).stdout
    assert said.splitlines() == [f"{NOBODY} {CAP_NET_ADMIN}", "done", "done", "done", "done"]
    await wire.dropped(V4)


async def test_a_user_without_net_admin_is_told_so_at_once(wire: Wire) -> None:
    said = wire.server.run([sys.executable, SCRIPT, "none", V4], timeout=20).stdout
    user, *outcomes = said.splitlines()
    assert user == f"{NOBODY} 0"
    assert len(outcomes) == 4
    for outcome in outcomes:
        assert outcome.startswith(f"{EPERM} changing nftables needs the capability CAP_NET_ADMIN: ")
    await wire.passes(V4)


async def test_the_probe_tells_what_the_kernel_can_do_and_leaves_nothing_behind(wire: Wire) -> None:
    before = wire.nft("list", "ruleset")
    assert (await probe()).startswith("nf_tables: ")
    assert wire.nft("list", "ruleset") == before


async def test_the_probe_touches_no_running_firewall(wire: Wire, firewall: Nftables) -> None:
    await firewall.ban([ban(V4), ban("10.0.0.0/8")], 0)
    before = wire.nft("list", "ruleset")
    await probe()
    assert wire.nft("list", "ruleset") == before
