"""Whatever rotates a log, every line is read once and in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from amiguard.sources.logfile.follower import GRACE, Follower
from amiguard.sources.logfile.tail import HEAD
from tests.lab.journal import RecordingJournal
from tests.lab.logwriter import Writer, numbers, writing
from tests.lab.waiting import until, wait_until
from tests.unit.sources.logfile.support import (
    WALL_CLOCK,
    append,
    beginning,
    content,
    copy_and_truncate,
    move,
    running,
    touch,
    truncate,
)

COUNT = 2_000
RATE = 2_000


@pytest.fixture(params=[None, "/dev/shm"], ids=["disk", "tmpfs"])
def log(request: pytest.FixtureRequest) -> Iterator[Path]:
    with TemporaryDirectory(prefix="amiguard-test-", dir=request.param) as folder:
        yield Path(folder, "full")


def shift(path: Path) -> None:
    """Make room for a new `.1`, as logrotate does."""
    for number in range(20, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))


def rename(path: Path, writer: Writer) -> None:
    """logrotate `nocreate`, and Asterisk's own `logger rotate`."""
    shift(path)
    path.rename(f"{path}.1")
    writer.reopen()
    wait_until(path.exists)


def rename_and_create(path: Path, writer: Writer) -> None:
    """logrotate `create`: for a while the new file is there and the old one is written to."""
    shift(path)
    path.rename(f"{path}.1")
    path.touch()
    size = Path(f"{path}.1").stat().st_size
    wait_until(lambda: writer.done or Path(f"{path}.1").stat().st_size > size)
    writer.reopen()


def compress_at_once(path: Path, writer: Writer) -> None:
    """logrotate `compress` without `delaycompress`: the old file goes as soon as Asterisk left it."""
    rename(path, writer)
    wait_until(lambda: writer.done or path.stat().st_size > 0)
    Path(f"{path}.1").rename(f"{path}.1.gz")
    Path(f"{path}.1.gz").unlink()


def delete(path: Path, writer: Writer) -> None:
    path.unlink()
    writer.reopen()
    wait_until(path.exists)


def relink(path: Path, writer: Writer) -> None:
    """A link that names today's file."""
    target = path.with_name(f"{path.name}-{len(list(path.parent.iterdir())):03}")
    target.touch()
    path.with_name("new").symlink_to(target.name)
    path.with_name("new").rename(path)
    writer.reopen()


Rotation = Callable[[Path, Writer], None]

DELETING: tuple[Rotation, ...] = (compress_at_once, delete)
"""What is created and deleted between two looks is nowhere any more."""


def link(path: Path) -> None:
    """Begin with a link."""
    path.with_name("full-000").touch()
    path.symlink_to("full-000")


@pytest.mark.parametrize("rotate", [rename, rename_and_create, compress_at_once, delete, relink])
async def test_every_line_is_read_once_through(rotate: Rotation, log: Path) -> None:
    if rotate is relink:
        link(log)
    async with running(log) as work:
        await until(lambda: bool(work.opened or work.lost), what="the first look")
        with writing(log, COUNT, RATE) as writer:
            for part in range(1, 6):
                await work.read(part * COUNT // 8)
                if rotate in DELETING:
                    await work.news(part)
                rotate(log, writer)
            await work.read(COUNT)
    assert numbers(work.lines) == list(range(COUNT))


async def test_a_truncated_copy_loses_only_what_is_in_no_file(log: Path) -> None:
    kept: list[bytes] = []
    touch(log)
    async with running(log) as work:
        await work.up()
        with writing(log, COUNT, RATE) as writer:
            for part in range(1, 6):
                await work.read(part * COUNT // 8)
                kept += copy_and_truncate(log)
                await work.news(part + 1)
                log.with_name("full.1").unlink()
            await until(lambda: writer.done, 10, "the writer's end")
            kept += content(log)
            await until(lambda: numbers(work.lines[-1:]) == [COUNT - 1], what="the last line")
    got = numbers(work.lines)
    assert got == sorted(set(got)), "in order, none twice"
    assert set(numbers(kept)) <= set(got), "what is in a file was read"


async def test_what_was_not_read_before_a_truncation_comes_from_the_copy(log: Path) -> None:
    append(log, b"".join(b"line %d\n" % number for number in range(10)))
    async with running(log) as work:
        await work.up()
        append(log, b"read\npart")
        await work.told(b"read")
        append(log, b" of a line\nunread\n")
        copy_and_truncate(log)
        append(log, b"new\n")
        await work.told(b"read", b"part of a line", b"unread", b"new")


def test_what_is_truncated_again_before_any_of_it_was_read_comes_from_its_copy(log: Path) -> None:
    append(log, b"read\n")
    follower = Follower(log, beginning(log), RecordingJournal(), WALL_CLOCK)
    assert follower.read() == [b"read"]
    got: list[bytes] = []
    append(log, b"first copy\n")
    copy_and_truncate(log)
    append(log, b"second copy\n")
    got += follower.read()  # notices the truncation, and takes up the first copy
    move(log.with_name("full.1"), "full.2")
    copy_and_truncate(log)
    append(log, b"log\n")
    while follower.busy:
        got += follower.read()
    follower.close()
    assert got == [b"first copy", b"second copy", b"log"]


async def test_what_was_read_after_the_copying_is_kept(log: Path) -> None:
    touch(log)
    async with running(log) as work:
        await work.up()
        one = b"1" * HEAD
        append(log, one + b"\npa")
        await work.told(one)
        append(log.with_name("full.1"), one + b"\npa")
        append(log, b"rt")
        await until(lambda: work.source.status()["behind"] == 0, what="all read")
        truncate(log)
        append(log, b"new\n")
        await work.told(one, b"part", b"new")


async def test_a_truncated_file_that_grew_beyond_the_old_end_is_noticed(log: Path) -> None:
    touch(log)
    async with running(log) as work:
        await work.up()
        append(log, b"old\n")
        await work.told(b"old")
        os.truncate(log, 0)  # nobody looks between these two
        append(log, b"quite different and longer\n")
        await work.told(b"old", b"quite different and longer")


async def test_a_file_cut_at_its_end_is_not_read_again(log: Path) -> None:
    touch(log)
    async with running(log) as work:
        await work.up()
        lines = [b"line %03d" % number for number in range(200)]
        append(log, b"\n".join(lines) + b"\n")
        await work.told(*lines)
        os.truncate(log, 1_350)
        await until(lambda: work.source.positions()[0].offset == 1_350, what="the new end")
        append(log, b"new\n")
        await work.told(*lines, b"new")


async def test_a_last_line_without_line_feed_comes_when_the_file_is_over(log: Path) -> None:
    touch(log)
    async with running(log) as work:
        await work.up()
        append(log, b"one\nunfinished")
        await work.told(b"one")
        move(log, "full.1")
        append(log, b"two\n")
        await work.told(b"one", b"unfinished", b"two")


async def test_two_rotations_between_two_looks_lose_nothing(log: Path) -> None:
    touch(log)
    async with running(log) as work:
        await work.up()
        append(log, b"a\n")
        await work.told(b"a")
        append(log, b"a, later\n")
        os.utime(log, (1_700_000_000, 1_700_000_000))  # from here on without any await: nobody looks
        for word in (b"b\n", b"c\n", b"d\n"):
            shift(log)
            move(log, "full.1")
            append(log, word)
            written = 1_700_000_000 + word[0]
            os.utime(log, (written, written))
        await work.told(b"a", b"a, later", b"b", b"c", b"d")


async def test_a_link_that_is_put_back_is_read_on_where_it_was(log: Path) -> None:
    one, two = log.with_name("one"), log.with_name("two")
    one.touch()
    two.touch()

    def point_to(target: Path) -> None:
        log.with_name("new").symlink_to(target)
        log.with_name("new").rename(log)

    point_to(one)
    async with running(log) as work:
        await work.up()
        append(one, b"1\n")
        await work.told(b"1")
        point_to(two)
        append(two, b"2\n")
        await work.told(b"1", b"2")
        append(one, b"3\n")
        point_to(one)
        await work.told(b"1", b"2", b"3")


async def test_a_missing_path_is_no_loss_until_it_lasts(log: Path) -> None:
    now = 0
    touch(log)
    async with running(log, clock=lambda: now) as work:
        await work.up()
        move(log, "full.1")
        append(log.with_name("full.1"), b"written to the old file\n")
        await work.told(b"written to the old file")
        assert work.source.status()["up"] is True
        assert work.lost == []
        now += GRACE
        await until(lambda: work.lost == [f"{log} can't be read: there is no such file"], what="said")
        append(log.with_name("full.1"), b"still read\n")
        await work.told(b"written to the old file", b"still read")
        assert work.source.status()["up"] is False
        append(log, b"new\n")
        await work.told(b"written to the old file", b"still read", b"new")
        await work.up()
        assert len(work.lost) == 1
