"""Restarted with a stored position, the source reads on there, whatever became of the file meanwhile."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from amiguard.ports import Position
from tests.lab.logwriter import numbers, writing
from tests.lab.waiting import wait_until
from tests.unit.sources.logfile.support import append, beginning, copy_and_truncate, move, remove, running, touch

COUNT = 3_000
RATE = 2_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "full"
    path.touch()
    return path


async def stored(log: Path) -> Position:
    """The position after reading `old`, with half a line behind it."""
    async with running(log) as work:
        await work.up()
        append(log, b"old\nhal")
        await work.told(b"old")
    (position,) = work.source.positions()
    return position


async def test_a_first_start_begins_at_the_end(log: Path) -> None:
    append(log, b"an attack of last year\nand ano")
    async with running(log) as work:
        await work.up()
        append(log, b"ther\nnew\n")
        await work.told(b"new")
        assert work.opened == [f"{log} is read from its end: a first start"]


async def test_a_file_that_appears_later_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / "not" / "yet" / "full"
    async with running(log) as work:
        await work.missed()
        log.parent.mkdir(parents=True)
        append(log, b"first\n")
        append(log, b"second\n")
        await work.told(b"first", b"second")
        assert work.lost == [f"{log} can't be read: there is no such file"]
        assert work.opened == [f"{log} is read from its start: it is new"]


async def test_a_position_goes_into_json_and_back(log: Path) -> None:
    position = await stored(log)
    assert Position(**json.loads(json.dumps(asdict(position)))) == position
    assert (position.path, position.offset) == (str(log), len(b"old\n"))


async def test_reading_goes_on_with_the_line_that_was_not_complete(log: Path) -> None:
    position = await stored(log)
    append(log, b"f\nnew\n")
    async with running(log, positions=[position]) as work:
        await work.told(b"half", b"new")
        assert work.opened == [f"{log} is read on where reading had ended"]


async def test_a_device_number_may_change(log: Path) -> None:
    position = await stored(log)
    append(log, b"f\n")
    async with running(log, positions=[replace(position, device=position.device + 1)]) as work:
        await work.told(b"half")


@pytest.mark.parametrize("name", ["full.1", "full-20261122", "full.20261122-101112", "archive"])
async def test_a_file_that_was_renamed_is_read_to_its_end_first(log: Path, name: str) -> None:
    position = await stored(log)
    append(log, b"f\nlast\n")
    move(log, name)
    append(log, b"new\n")
    async with running(log, positions=[position]) as work:
        await work.told(b"half", b"last", b"new")


async def test_files_of_several_rotations_are_read_in_their_order(log: Path) -> None:
    position = await stored(log)
    append(log, b"f\n")
    for number, word in enumerate((b"two\n", b"three\n", b"four\n")):
        os.utime(log, (1_700_000_000 + number, 1_700_000_000 + number))
        move(log, f"full.{9 - number}")
        append(log, word)
    older = log.with_name("full.10")
    append(older, b"read long ago\n")
    os.utime(older, (1_600_000_000, 1_600_000_000))
    append(log.with_name("full.8.gz"), b"compressed\n")
    append(log.with_name("fuller.1"), b"another log\n")
    async with running(log, positions=[position]) as work:
        await work.told(b"half", b"two", b"three", b"four")


async def test_a_file_that_was_copied_and_truncated_is_read_on_in_the_copy(log: Path) -> None:
    position = await stored(log)
    append(log, b"f\nlast\n")
    copy_and_truncate(log)
    append(log, b"new, and longer than what was there before\n")
    async with running(log, positions=[position]) as work:
        await work.told(b"half", b"last", b"new, and longer than what was there before")


async def test_without_the_old_file_the_new_one_is_read_from_its_start(log: Path) -> None:
    position = await stored(log)
    remove(log)
    append(log, b"new, and longer than what was there before\n")
    async with running(log, positions=[position]) as work:
        await work.told(b"new, and longer than what was there before")
        assert work.opened == [f"{log} is read from its start: what was read before is not beside it any more"]


async def test_the_position_of_a_missing_file_is_kept(log: Path) -> None:
    position = await stored(log)
    remove(log)
    async with running(log, positions=[position]) as work:
        await work.missed()
        assert work.source.positions() == [position]
    assert work.source.positions() == [position]


async def test_two_files_have_their_own_positions(log: Path) -> None:
    other = log.with_name("security")
    touch(other)
    async with running(log, other) as work:
        await work.news(2)
        append(log, b"1\n")
        append(other, b"22\n")
        await work.read(2)
    positions = work.source.positions()
    assert [(position.path, position.offset) for position in positions] == [(str(log), 2), (str(other), 3)]
    append(other, b"333\n")
    async with running(other, log, positions=positions) as again:
        await again.told(b"333")


async def test_every_line_is_read_once_over_restarts_and_rotations(log: Path) -> None:
    got: list[bytes] = []
    positions: list[Position] = []
    with writing(log, COUNT, RATE) as writer:
        for part in range(6):
            async with running(log, positions=positions or [beginning(log)]) as work:
                await work.read(COUNT // 10)
                if part % 2:
                    move(log, f"full.{9 - part}")
                    writer.reopen()
                    wait_until(log.exists)
            got += work.lines
            positions = work.source.positions()
            for step in range(part % 3):
                move(log, f"full.{part}{step}")
                writer.reopen()
                wait_until(lambda: writer.done or (log.exists() and log.stat().st_size > 10_000))
        wait_until(lambda: writer.done, 10)
        async with running(log, positions=positions) as work:
            await work.read(COUNT - len(got))
            got += work.lines
    assert numbers(got) == list(range(COUNT))
