"""What was appended reaches the sink as lines: as written, in order, once, and at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from amiguard.journal import Action
from amiguard.sources.logfile import LogSource, watching
from amiguard.sources.logfile.source import BEHIND_FOR
from amiguard.sources.logfile.tail import MAX_LINE, STEP
from tests.lab.waiting import until
from tests.unit.sources.logfile.support import append, running


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "full"
    path.touch()
    return path


async def test_lines_come_in_order_without_their_line_feeds(log: Path) -> None:
    async with running(log) as work:
        await work.up()
        append(log, b"one\n")
        append(log, b"two\n\nfour\n")
        await work.told(b"one", b"two", b"", b"four")
        assert {path for path, _ in work.got} == {log}


async def test_bytes_stay_as_they_were_written(log: Path) -> None:
    hostile = b"\x00\xff\xfe\r\x1b[31m\x85\xe2\x80\xa8\x0b\x0c" + bytes(range(256)).replace(b"\n", b"")
    async with running(log) as work:
        await work.up()
        append(log, hostile + b"\r\n")
        await work.told(hostile + b"\r")


async def test_a_line_waits_for_its_line_feed(log: Path) -> None:
    async with running(log) as work:
        await work.up()
        for piece in (b"hal", b"f a ", b"line"):
            append(log, piece)
            await until(lambda: work.source.status()["behind"] == 0, what="the piece read")
        assert work.lines == []
        append(log, b"\nnext\nrest")
        await work.told(b"half a line", b"next")


@pytest.mark.parametrize("length", [STEP - 1, STEP, STEP + 1, MAX_LINE - 1, MAX_LINE])
async def test_a_long_line_comes_whole(log: Path, length: int) -> None:
    async with running(log) as work:
        await work.up()
        append(log, b"before\n" + b"x" * length + b"\nafter\n")
        await work.told(b"before", b"x" * length, b"after")
        assert work.source.status()["skipped"] == 0


@pytest.mark.parametrize("length", [MAX_LINE + 1, MAX_LINE + STEP, 5 * MAX_LINE])
async def test_a_line_that_is_too_long_is_left_out_and_counted(log: Path, length: int) -> None:
    async with running(log) as work:
        await work.up()
        append(log, b"before\n" + b"x" * length + b"\nafter\n")
        await work.told(b"before", b"after")
        assert work.source.status()["skipped"] == 1


async def test_a_failing_sink_costs_only_the_line_that_it_failed_on(log: Path) -> None:
    got: list[bytes] = []

    def sink(path: Path, line: bytes, live: bool) -> None:
        if line.startswith(b"bad"):
            raise KeyError(line)
        got.append(line)

    async with running(log, sink=sink) as work:
        await work.up()
        append(log, b"bad 1\none\nbad 2\nbad 3\ntwo\nbad 4\n")
        append(log, b"three\n")
        await until(lambda: len(got) == 3, what="the good lines")
        assert got == [b"one", b"two", b"three"]
        assert len(work.journal.of(Action.INTERNAL_ERROR)) == 1, "one line a minute"


async def test_several_files_are_followed_side_by_side(tmp_path: Path) -> None:
    paths = [tmp_path / "full", tmp_path / "security", tmp_path / "messages"]
    for path in paths:
        path.touch()
    async with running(*paths) as work:
        await until(lambda: len(work.opened) == 3, what="three files")
        for number in range(50):
            for path in paths:
                append(path, b"%s %d\n" % (path.name.encode(), number))
        await until(lambda: len(work.got) == 150, what="all lines")
    for path in paths:
        expected = [b"%s %d" % (path.name.encode(), number) for number in range(50)]
        assert [line for got, line in work.got if got == path] == expected


async def test_a_line_arrives_within_milliseconds(log: Path) -> None:
    async with running(log) as work:
        await work.up()
        await until(lambda: work.source.status()["notified"] is True, what="inotify")
        delays = []
        for number in range(20):
            began = time.perf_counter()
            append(log, b"line\n")
            await work.read(number + 1)
            delays.append(time.perf_counter() - began)
        assert sorted(delays)[10] < 0.05, "polling would take 0.125 s on average"


async def test_a_file_that_is_named_twice_is_read_once(log: Path) -> None:
    async with running(log, log) as work:
        await work.up()
        append(log, b"one\ntwo\n")
        await work.told(b"one", b"two")


async def test_status_tells_how_it_goes(log: Path) -> None:
    async with running(log, log.with_name("missing")) as work:
        await until(lambda: bool(work.lost), what="the missing file noticed")
        append(log, b"one\ntwo\npart")
        await work.told(b"one", b"two")
        status = work.source.status()
    assert status["name"] == "log"
    assert status["up"] is False
    assert status["lines"] == 2
    assert status["behind"] == 0
    assert isinstance(status["last_line"], int)
    assert status["error"] == f"{log.with_name('missing')} can't be read: there is no such file"


async def test_a_quiet_log_is_only_glanced_at_and_its_next_line_is_live(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "POLL", 0.01)
    monkeypatch.setattr(watching, "SELDOM", 0.02)
    steps, glances, now = 0, 0, 0
    live: list[bool] = []
    step, quiet = LogSource._step, LogSource._quiet

    async def counted_step(source: LogSource) -> bool:
        nonlocal steps
        steps += 1
        return await step(source)

    def counted_quiet(source: LogSource) -> bool:
        nonlocal glances, now
        glances += 1
        now += BEHIND_FOR // 2
        return quiet(source)

    monkeypatch.setattr(LogSource, "_step", counted_step)
    monkeypatch.setattr(LogSource, "_quiet", counted_quiet)
    async with running(log, sink=lambda _path, _line, alive: live.append(alive), clock=lambda: now) as work:
        await work.up()
        await until(lambda: glances > 0)
        before = steps
        await until(lambda: glances > 10)
        assert steps <= before + 1
        append(log, b"x\n")
        await until(lambda: live == [True])


async def test_a_log_is_looked_at_less_and_less_often_where_inotify_works(log: Path) -> None:
    watch = watching.Watch()
    assert watch.cover({(None, log.parent)})
    try:
        for _ in range(9):
            watch._ask(lambda: True)
            watch._glance.cancel()
        assert watch._patience == watching.SELDOM

        watch._ask(lambda: False)
        assert watch._patience == watching.POLL, "it may be deaf on this file system"
    finally:
        watch.close()


async def test_a_log_is_looked_at_often_without_inotify() -> None:
    watch = watching.Watch()
    for _ in range(9):
        watch._ask(lambda: True)
        watch._glance.cancel()
    assert watch._patience == watching.POLL
