"""Two connections to one Asterisk tell the same: whichever is ahead of the other, each event is told once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from amiguard.asterisk.schema import SecurityEvent
from amiguard.clock import steady_clock
from amiguard.model import Address, Target
from amiguard.sources.ami import AmiSettings, AmiSource, Handover, handover
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until

HERE = Address(Target("127.0.0.1"))
SEAM = SecurityEvent("SuccessfulAuth", "AMI", HERE, 4711, "TCP", "amiguard", "0x7f")
STREAM = [
    SecurityEvent("InvalidPassword", "PJSIP", Address(Target("192.0.2.1")), 5060, "UDP", str(n)) for n in range(8)
]
"""What Asterisk tells, the login behind the first four."""
OLD = [*STREAM[:4], SEAM, *STREAM[4:]]
NEW = [SEAM, *STREAM[4:]]


class Two:
    def __init__(self) -> None:
        self.told: list[SecurityEvent] = []
        self.old, self.new = self.connected(4242), self.connected(4711)
        self.handover = Handover(self.old, self.new, steady_clock())

    def connected(self, port: int) -> AmiSource:
        settings = AmiSettings(username="amiguard", secret="s")
        source = AmiSource(settings, self.told.append, RecordingJournal(), steady_clock())
        source.intake.begin((HERE, port))
        return source

    def tell(self, source: AmiSource, *events: SecurityEvent) -> None:
        source.intake._take([*events], 0)


@pytest.mark.parametrize("ahead", range(len(OLD) + 1))
async def test_each_event_is_told_once_however_far_the_old_connection_is_ahead(ahead: int) -> None:
    two = Two()

    two.tell(two.old, *OLD[:ahead])
    two.tell(two.new, *NEW)
    two.tell(two.old, *OLD[ahead:])

    await two.handover.done()
    assert two.told == STREAM


@pytest.mark.parametrize("ahead", range(len(NEW) + 1))
async def test_each_event_is_told_once_however_far_the_new_connection_is_ahead(ahead: int) -> None:
    two = Two()

    two.tell(two.new, *NEW[:ahead])
    two.tell(two.old, *OLD)
    two.tell(two.new, *NEW[ahead:])

    await two.handover.done()
    assert sorted(two.told) == sorted(STREAM)


async def test_a_connection_to_another_asterisk_takes_over_after_a_while(monkeypatch: Any) -> None:
    monkeypatch.setattr(handover, "PATIENCE", 0.01)
    two = Two()
    two.tell(two.old, STREAM[0])
    two.tell(two.new, SEAM, STREAM[1])

    await two.handover.done()
    two.tell(two.old, STREAM[2])
    two.tell(two.new, STREAM[3])

    assert two.told == [STREAM[0], STREAM[1], STREAM[3]]
    await until(lambda: two.new.intake.gate is None)


async def test_the_old_connection_counts_until_the_new_one_has_logged_in(monkeypatch: Any) -> None:
    monkeypatch.setattr(handover, "PATIENCE", 0.01)
    two = Two()
    done = asyncio.create_task(two.handover.done())
    loop = asyncio.get_running_loop()
    over = loop.time() + 0.1
    await until(lambda: loop.time() > over)  # ten times its patience

    two.tell(two.old, *OLD[:6])
    two.tell(two.new, *NEW)
    two.tell(two.old, *OLD[6:])

    await done
    assert two.told == STREAM


async def test_another_connection_that_takes_over_right_afterwards_tells_each_event_once_too(monkeypatch: Any) -> None:
    monkeypatch.setattr(handover, "PATIENCE", 0.05)
    two = Two()
    two.tell(two.old, *OLD[:7])
    two.tell(two.new, SEAM)
    await two.handover.done()
    third = two.connected(4800)
    again = Handover(two.new, third, steady_clock())

    two.tell(two.new, *STREAM[4:6])  # which the first one told
    loop = asyncio.get_running_loop()
    over = loop.time() + 0.1
    await until(lambda: loop.time() > over)  # twice the patience of the first hand-over
    seam = SEAM._replace(port=4800)
    two.tell(two.new, STREAM[6], seam, STREAM[7])
    two.tell(third, seam, STREAM[7])

    await again.done()
    assert two.told == STREAM
    await until(lambda: third.intake.gate is None)
