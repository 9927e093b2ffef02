"""Who tells of an attempt, and what more than one of them adds to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from amiguard.journal import Action
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, World, chan_sip, guess
from tests.unit.sources.logfile.test_intake import Told, line

FULL, MESSAGES = Path("/nonexistent/full"), Path("/nonexistent/messages")


@pytest.mark.parametrize("times", [1, 4])
async def test_an_attempt_that_two_logs_tell_of_counts_once(times: int) -> None:
    world, told = World(log_followed=True), Told()
    for _ in range(times):
        for path in (FULL, MESSAGES):
            told.take(line("14:00:00"), path)
    async with world.running() as guard:
        for event, source, _ in told.told:
            guard.observe(event, source)

        assert {source for _, source, _ in told.told} == {"log", "log-2"}
        assert world.journal.count(Action.FAILURE) == times


async def test_the_second_of_two_logs_knows_chan_sip_s_addresses_as_well() -> None:
    world = World(log_followed=True)
    async with world.running() as guard:
        guard.observe(chan_sip(ATTACKER), "log-2")
        guard.observe(chan_sip("9.9.9.9"), "security-log-2")
        guard.observe(chan_sip("9.9.9.9"), "ami")

        assert world.journal.count(Action.FAILURE) == 1


async def test_an_injection_bans_at_once_though_the_log_told_of_the_attempt_first() -> None:
    world = World(log_followed=True)
    async with world.running() as guard:
        guard.observe(guess(), "log")
        guard.observe(guess(tampered=True), "ami")
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.journal.count(Action.INJECTION) == 1
