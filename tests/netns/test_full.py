"""The kernel has room for a few bans only: those stay in force, the others wait, and nothing is said to be done."""

from __future__ import annotations

import pytest

from amiguard.firewalls.nftables import Nftables
from amiguard.journal import Action
from amiguard.model import Target
from tests.lab.waiting import until
from tests.netns.protecting import Protected, protecting
from tests.netns.wire import V4, V6, Wire, ban

pytestmark = pytest.mark.netns

ROOM = 3
SMALL = f"table inet amiguard {{ set banned4 {{ type ipv4_addr; flags timeout; size {ROOM}; }}\n}}\n"


def banned(protected: Protected[Nftables]) -> list[str]:
    return [line.message.split()[0] for line in protected.journal.of(Action.BAN)]


async def test_a_full_set_keeps_what_it_has_and_takes_what_waits_as_soon_as_there_is_room(wire: Wire) -> None:
    wire.server.run(["nft", "-f", "-"], stdin=SMALL)
    async with protecting(ban(V4)) as protected:
        enforcement = protected.guard._enforcement
        many = [f"10.0.0.{number}" for number in range(6)]
        for one in [*many, V6]:
            enforcement.submit(ban(one))

        await until(lambda: V6 in banned(protected), timeout=20, what="who needs no room there is banned")
        assert set(wire.elements("banned4")) == {V4, *banned(protected)} - {V6}
        assert len(wire.elements("banned4")) == ROOM
        refused = protected.journal.of(Action.FIREWALL_FAILED)[0].fields["error"]
        assert "a set of bans is full; what is in it stays banned" in str(refused)
        assert protected.healed() == []
        await wire.dropped(V4, V6)

        waits = next(one for one in many if one not in banned(protected))
        await protected.guard.administration.unban(Target(V4))
        await until(lambda: len(banned(protected)) == ROOM + 1, timeout=20, what="the next one is banned")
        assert set(enforcement.waiting) | set(banned(protected)) == {*many, V6}
        assert waits in {*enforcement.waiting, *banned(protected)}
        await wire.passes(V4)
