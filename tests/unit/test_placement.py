"""Moving the bans into another firewall."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from amiguard.errors import FirewallError
from amiguard.journal import Action
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, RecordingFirewall, World, attack


@dataclass
class Stubborn(RecordingFirewall):
    """Can't be withdrawn."""

    @override
    async def withdraw(self) -> None:
        raise FirewallError("the kernel says no", 1)


async def test_a_move_is_done_though_what_is_left_behind_cant_be_removed_and_the_log_says_so() -> None:
    world = World(firewall=Stubborn())
    new = RecordingFirewall(place="another table")
    async with world.running() as guard:
        attack(guard)
        await until(lambda: guard.administration.find(ATTACKER) is not None)
        await guard.relocate(new)

        assert ATTACKER in new.dropped
        [line] = world.journal.of(Action.FIREWALL_FAILED)
        assert "memory" in line.message
