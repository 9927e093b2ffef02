"""Who tells of an attempt, and what more than one of them adds to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from amiguard import guard as guarding
from amiguard.chansip import PATIENCE, ChanSip, Report
from amiguard.journal import Action
from tests.lab.waiting import until
from tests.lab.world import ATTACKER, World, chan_sip, guess
from tests.unit.sources.logfile.test_intake import Handed, line

FULL, MESSAGES = Path("/nonexistent/full"), Path("/nonexistent/messages")


@pytest.mark.parametrize("times", [1, 4])
async def test_an_attempt_that_two_logs_tell_of_counts_once(times: int) -> None:
    world, told = World(log_followed=True), Handed()
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


async def test_an_attempt_that_ami_and_the_log_tell_of_counts_once() -> None:
    world = World()
    async with world.running() as guard:
        for _ in range(4):
            for witness in ("ami", "log", "security-log"):
                guard.observe(guess(), witness)
        assert world.journal.count(Action.FAILURE) == 4
        guard.observe(guess(), "log")
        await until(lambda: ATTACKER in world.firewall.dropped)


async def test_a_connection_that_only_ami_knows_of_proves_the_address_though_the_log_told_first() -> None:
    world = World()
    async with world.running() as guard:
        for i in range(5):
            guard.observe(guess(session=str(i))._replace(transport=""), "log")
            guard.observe(guess(session=str(i))._replace(transport="TLS"), "ami")
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert world.firewall.dropped == {ATTACKER: 3_600_000}


async def test_a_line_counts_at_its_own_time_and_not_when_it_is_too_old() -> None:
    world = World()
    async with world.running() as guard:
        for i in range(4):
            guard.observe(guess(session=str(i)), "log", world.now - 600_000 + i)
        guard.observe(guess(session="older"), "log", world.now - 600_001)
        assert world.journal.count(Action.FAILURE) == 4

        world.now += 4
        guard.observe(guess(session="now"), "ami")
        assert guard.counters.bans == 0, "the first of the five is older than findtime by now"


async def test_chan_sip_is_believed_about_addresses_only_in_the_log_where_one_is_followed() -> None:
    world = World(log_followed=True)
    async with world.running() as guard:
        for _ in range(5):
            guard.observe(chan_sip("9.9.9.9"), "ami")
            guard.observe(chan_sip("9.9.9.9"), "security-log")
            guard.observe(chan_sip(ATTACKER), "log")
        await until(lambda: ATTACKER in world.firewall.dropped)

        assert set(world.firewall.dropped) == {ATTACKER}
        assert guard.counters.failures == 5


async def test_chan_sip_in_ami_counts_where_the_log_has_no_notice_lines() -> None:
    world = World(log_followed=True)
    async with world.running() as guard:
        for _ in range(5):
            guard.observe(chan_sip(ATTACKER), "ami")
        assert guard.counters.failures == 0
        world.now += PATIENCE + 1
        await until(lambda: ATTACKER in world.firewall.dropped)


async def test_without_a_log_chan_sip_in_ami_counts_at_once() -> None:
    world = World()
    async with world.running() as guard:
        for _ in range(5):
            guard.observe(chan_sip(ATTACKER), "ami")
        assert guard.counters.bans == 1


async def test_the_guard_looks_often_while_an_event_waits_for_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarding, "TICK", 0.01)
    monkeypatch.setattr(guarding, "CALM", 0.5)
    world = World(log_followed=True)
    async with world.running() as guard:
        guard.observe(chan_sip(ATTACKER), "ami")
        await until(lambda: guard.administration.lag.cumulated()[-1][1] >= 20, 4, "twenty looks")


def test_an_event_of_chan_sip_waits_until_its_line_comes_or_its_time_is_up() -> None:
    chansip = ChanSip(log_followed=True)
    assert not chansip.waits

    chansip.admit(Report(chan_sip(ATTACKER), "ami", 0), 0)
    assert chansip.waits
    chansip.release(PATIENCE + 1)
    assert not chansip.waits

    chansip.admit(Report(chan_sip(ATTACKER), "ami", 0), 0)
    chansip.admit(Report(chan_sip(ATTACKER), "log", 0), 0)
    assert not chansip.waits
