"""A writer at full speed makes us late, but loses nothing, stops nothing else, and takes no memory."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

import pytest

from amiguard.journal import Action
from amiguard.sources.logfile.source import BEHIND, BEHIND_FOR
from tests.lab.logwriter import NUMBER, writing
from tests.lab.waiting import until
from tests.unit.sources.logfile.support import append, beginning, running, touch

MIB = 1 << 20
LINE = b"y" * 127 + b"\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "full"


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_writer_at_full_speed_takes_no_memory_and_loses_no_line(log: Path) -> None:
    touch(log)
    count, expected, most = 300_000, 0, 0

    def sink(path: Path, line: bytes, live: bool) -> None:
        nonlocal expected, most
        found = NUMBER.search(line)
        assert found is not None
        assert int(found[1]) == expected
        expected += 1
        if expected % 1_000 == 0:
            most = max(most, resident())

    async with running(log, sink=sink) as work:
        await work.up()
        before = resident()
        with writing(log, count, 0):
            await until(lambda: expected == count or bool(work.journal.of(Action.INTERNAL_ERROR)), 60, "all lines")
    assert work.journal.of(Action.INTERNAL_ERROR) == []
    assert expected == count
    assert most - before < 16 * MIB, "the file is the queue"


async def test_a_line_without_end_takes_no_memory(log: Path) -> None:
    append(log, b"x" * (64 * MIB) + b"\nafter\n")
    before = most = resident()

    async with running(log, positions=[beginning(log)]) as work:

        def arrived() -> bool:
            nonlocal most
            most = max(most, resident())
            return bool(work.got)

        await until(arrived, 10, "the line after it")
        assert work.lines == [b"after"]
        assert work.source.status()["skipped"] == 1
    assert most - before < 16 * MIB


async def test_a_backlog_does_not_keep_others_waiting(log: Path) -> None:
    append(log, LINE * (64 * MIB // len(LINE)))
    lines = 0

    def sink(path: Path, line: bytes, live: bool) -> None:
        nonlocal lines
        lines += 1

    async with running(log, positions=[beginning(log)], sink=sink) as work:
        longest, last = 0.0, time.thread_time()
        while not work.opened or work.source.status()["behind"] != 0:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
    assert lines == 64 * MIB // len(LINE)
    assert longest < 0.05, "Asterisk ends an AMI session that is not read for 0.1 s"


async def test_being_far_behind_for_long_is_told(log: Path) -> None:
    append(log, LINE * (2 * BEHIND // len(LINE)))
    now = 0

    def clock() -> int:
        nonlocal now
        now += BEHIND_FOR // 20
        return now

    async with running(log, positions=[beginning(log)], clock=clock) as work:
        await until(lambda: work.source.status()["behind"] == 0 and bool(work.opened), 20, "the end")
        told = work.journal.of(Action.OVERLOAD)
    assert told
    assert all(isinstance(size := line.fields["waiting_bytes"], int) and size >= BEHIND for line in told)
    assert len(work.got) == 2 * BEHIND // len(LINE)


async def test_a_burst_that_is_soon_caught_up_with_is_not_told(log: Path) -> None:
    append(log, LINE * (2 * BEHIND // len(LINE)))
    async with running(log, positions=[beginning(log)]) as work:
        await until(lambda: work.source.status()["behind"] == 0 and bool(work.opened), 9, "the end")
        assert work.journal.of(Action.OVERLOAD) == []
