"""A flood loses no event, starves nobody and takes no memory."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from amiguard.journal import Action
from amiguard.sources.ami.protocol import STEP
from tests.lab.fakeami import FakeAmi, security_event
from tests.lab.waiting import until
from tests.unit.sources.ami.support import quick, running

EVENTS = 200_000
BATCH = 1_000


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_two_hundred_thousand_events_arrive_and_take_no_memory() -> None:
    batch = b"".join(
        security_event(account=str(6000 + number), remote=f"IPV4/UDP/198.51.{number // 250}.{number % 250}/5060")
        for number in range(BATCH)
    )
    told = 0

    def sink(_event: object) -> None:
        nonlocal told
        told += 1

    async with FakeAmi() as server, running(quick(server, ping_interval=0.2, ping_timeout=5), sink) as work:
        await work.connected()
        await server.play(batch)
        await until(lambda: told == BATCH, what="the first batch")
        before = highest = resident()
        for _ in range(EVENTS // BATCH - 1):
            await server.play(batch)
            highest = max(highest, resident())
        await until(lambda: told == EVENTS, timeout=60, what="all events")
        assert highest - before < 16 << 20
        assert (work.source.intake.events, server.connections, work.reconnects) == (EVENTS, 1, 0)


async def test_one_step_of_the_loop_takes_a_bounded_share_of_what_waits() -> None:
    event = security_event()
    shares: list[int] = []
    async with FakeAmi() as server, running(quick(server)) as work:
        await work.connected()
        playing = asyncio.create_task(server.play(event * 20_000, 1 << 20))
        while work.source.intake.events < 20_000:
            before = work.source.intake.events
            await asyncio.sleep(0)
            shares.append(work.source.intake.events - before)
        await playing
    assert max(shares) <= STEP // len(event) + 1


async def test_falling_behind_is_told_once() -> None:
    def slow(_event: object) -> None:
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass

    data = security_event(session="x" * 60_000) * 100
    async with FakeAmi() as server, running(quick(server, ping_timeout=10), slow) as work:
        await work.connected()
        await server.play(data, 4 << 20)
        await until(lambda: work.source.intake.events == 100, timeout=20, what="all events")
        lines = work.journal.of(Action.OVERLOAD)
        assert len(lines) == 1
        waiting = lines[0].fields["waiting_bytes"]
        assert isinstance(waiting, int)
        assert waiting > 1 << 20
        assert server.connections == 1
