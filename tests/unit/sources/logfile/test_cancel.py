"""Cancelled at whatever moment, the source leaves no task, no descriptor and no watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.lab.waiting import until
from tests.unit.sources.logfile.support import Running, append, descriptors, move, touch
from tests.unit.sources.working import at_work


@asynccontextmanager
async def expect_nothing_left(*paths: Path) -> AsyncIterator[Running]:
    """Run a source, cancel it at the end of the block, and look for what it left."""
    tasks, before = asyncio.all_tasks(), descriptors()
    work = Running(paths)
    async with at_work(work.source):
        yield work
    assert asyncio.all_tasks() == tasks
    assert descriptors() == before


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "full"
    path.touch()
    return path


async def test_before_the_first_step(log: Path) -> None:
    async with expect_nothing_left(log) as work:
        assert work.got == []


async def test_while_idle(log: Path) -> None:
    async with expect_nothing_left(log, log.with_name("missing")) as work:
        await until(lambda: bool(work.lost and work.opened))
        await until(lambda: bool(work.source.status()["notified"]))


async def test_with_an_old_file_still_open(log: Path) -> None:
    async with expect_nothing_left(log) as work:
        await work.up()
        move(log, "full.1")
        touch(log)
        await work.news(2)


async def test_after_many_rotations(log: Path) -> None:
    async with expect_nothing_left(log) as work:
        await work.up()
        before = len(descriptors())
        for number in range(100):
            move(log, f"full.{number % 10}")
            append(log, b"line %d\n" % number)
            await work.read(number + 1)
        await until(lambda: len(descriptors()) <= before, what="old files closed")


async def test_in_the_middle_of_a_backlog(log: Path) -> None:
    async with expect_nothing_left(log) as work:
        await work.up()
        append(log, b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 500_000)
        await work.read(1)
    assert len(work.got) < 500_000, "it did not wait for the end"
    (position,) = work.source.positions()
    assert position.offset == 100 * len(work.got), "what was handed on, and no more"


async def test_it_can_be_run_again_and_reads_on(log: Path) -> None:
    async with expect_nothing_left(log) as work:
        await work.up()
        append(log, b"one\n")
        await work.read(1)
    append(log, b"two\n")
    task = asyncio.create_task(work.source.run())
    await work.told(b"one", b"two")
    task.cancel()
    await asyncio.wait({task})
