"""A table that nobody but amiguard can change, and what happens to it between one owner and the next."""

from __future__ import annotations

import pytest

from amiguard.firewalls.nftables import Nftables
from tests.lab.waiting import until
from tests.netns.protecting import now, protecting
from tests.netns.wire import V4, V4_NEIGHBOUR, V6, Wire, ban

pytestmark = pytest.mark.netns

BANS = [ban(V4), ban(V6), ban("198.51.100.0/24")]


async def restart(*, owner: bool, bans: tuple[str, ...] = ()) -> None:
    firewall = Nftables(owner=owner)
    await firewall.start([], [ban(one) for one in bans], 0)
    await firewall.close()


def owned(wire: Wire) -> bool:
    (table,) = (one["table"] for one in wire.nft("list", "tables") if one.get("table", {}).get("name") == "amiguard")
    return "owner" in table.get("flags", [])


async def test_nobody_can_take_anything_from_an_owned_table(wire: Wire) -> None:
    async with protecting(*BANS, firewall=Nftables(owner=True)) as protected:
        wire.server.run(["nft", "flush", "ruleset"])
        for command in (
            "delete table inet amiguard",
            "flush chain inet amiguard prerouting",
            "flush set inet amiguard banned6",
            f"delete element inet amiguard banned4 {{ {V4} }}",
        ):
            refused = wire.server.run(["nft", command], check=False)
            assert "Operation not permitted" in refused.stderr
        await wire.dropped(V4, V6)
        assert protected.healed() == []
        assert protected.firewall.lacks() == []


async def test_an_owned_table_outlives_its_owner_and_the_next_one_takes_it_over(wire: Wire) -> None:
    await restart(owner=True, bans=(V4, V6))
    await wire.dropped(V4, V6)
    firewall = Nftables(owner=True)
    await firewall.start([], [], 0)
    wire.server.run(["nft", "flush", "ruleset"])
    await wire.dropped(V4, V6)
    await firewall.close()


async def test_a_table_that_was_left_can_be_removed_by_hand(wire: Wire) -> None:
    await restart(owner=True, bans=(V4,))
    wire.server.run(["nft", "delete", "table", "inet", "amiguard"])
    await wire.passes(V4)


async def test_an_owner_that_loses_its_socket_owns_the_table_again(wire: Wire) -> None:
    async with protecting(*BANS, firewall=Nftables(owner=True)) as protected:
        held = protected.firewall._netlink._socket
        assert held
        held.close()
        await protected.firewall._netlink.close()
        protected.firewall._netlink.lost.set()
        await protected.healed_once_more(than=0)
        wire.server.run(["nft", "flush", "ruleset"])
        await wire.dropped(V4, V6)


async def test_a_table_made_without_an_owner_is_made_anew_with_all_that_it_drops(wire: Wire) -> None:
    firewall = Nftables()
    await firewall.start([], [ban(V4, now() + 600_000), ban(V6), ban("198.51.100.0/24")], now())
    await firewall.close()
    owner = Nftables(owner=True)
    await owner.start([], [ban(V4_NEIGHBOUR), ban("10.0.0.0/8")], now())
    assert wire.tables() == ["amiguard"]
    assert set(wire.elements("banned4")) == {V4, V4_NEIGHBOUR}
    assert 500 < wire.elements("banned4")[V4]["expires"] <= 600
    assert set(wire.elements("banned4_24")) == {"198.51.100.0"}
    assert set(wire.elements("banned4_8")) == {"10.0.0.0"}
    wire.server.run(["nft", "flush", "ruleset"])
    await wire.dropped(V4, V4_NEIGHBOUR, V6)
    await owner.close()


async def test_who_no_longer_wants_to_own_keeps_the_bans_and_lets_others_in(wire: Wire) -> None:
    await restart(owner=True, bans=(V4,))
    async with protecting(firewall=Nftables()) as protected:
        await wire.dropped(V4)
        wire.server.run(["nft", "delete", "element", "inet", "amiguard", "banned4", f"{{ {V4} }}"])
        await wire.passes(V4)
        wire.server.run(["nft", "flush", "ruleset"])
        await protected.healed_once_more(than=0)
    await restart(owner=True)
    await until(lambda: wire.tables() == ["amiguard"])
