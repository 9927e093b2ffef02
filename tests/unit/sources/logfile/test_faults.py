"""What can't be read is told once, tried again, and costs no line that can be had later."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from asyncinotify import Inotify

from amiguard.errors import SourceError
from amiguard.sources.logfile import probe
from tests.lab.logwriter import numbers, writing
from tests.lab.waiting import until
from tests.unit.sources.logfile.support import Running, append, mode, move, running, touch


async def polls(work: Running, count: int = 3) -> None:
    """Wait until the source has looked `count` times more."""
    looks = 0

    def clock() -> int:
        nonlocal looks
        looks += 1
        return looks

    work.source._clock = clock
    await until(lambda: looks >= count, what=f"{count} looks")


@pytest.mark.parametrize("kind", ["directory", "FIFO", "device", "socketless link"])
async def test_what_is_no_regular_file_is_refused_without_hanging(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "full"
    match kind:
        case "directory":
            path.mkdir()
        case "FIFO":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.symlink_to("nowhere")
    reason = {"directory": "it is a directory", "socketless link": "there is no such file"}
    expected = f"{path} can't be read: {reason.get(kind, 'it is no regular file')}"
    async with running(path) as work:
        await until(lambda: bool(work.lost), what="refused")
        await polls(work)
        assert work.lost == [expected]
        assert work.source.status()["up"] is False
        assert work.source.status()["error"] == expected
    with pytest.raises(SourceError, match="can't be read"):
        await probe(path)


async def test_a_file_that_opens_but_fails_to_read_is_not_called_open() -> None:
    path = Path("/proc/self/mem")
    async with running(path) as work:
        await until(lambda: bool(work.lost), what="lost")
        await polls(work)
        assert work.lost == [f"{path} can't be read: Input/output error"]
        assert work.opened == []


async def test_each_new_reason_is_told(tmp_path: Path) -> None:
    path = tmp_path / "full"
    async with running(path) as work:
        await until(lambda: len(work.lost) == 1)
        path.mkdir()
        await until(lambda: len(work.lost) == 2)
        path.rmdir()
        await until(lambda: len(work.lost) == 3)
        append(path, b"at last\n")
        await work.told(b"at last")
        assert work.source.status()["error"] == ""
    assert [message.rpartition(": ")[2] for message in work.lost] == [
        "there is no such file",
        "it is a directory",
        "there is no such file",
    ]


async def test_what_was_written_while_the_right_was_missing_is_read_when_it_is_given(unprivileged: Path) -> None:
    log = unprivileged / "full"
    append(log, b"before the start\n")
    mode(log, 0o200)
    async with running(log) as work:
        await until(lambda: bool(work.lost), what="refused")
        append(log, b"meanwhile\n")
        mode(log, 0o600)
        await work.told(b"meanwhile")
        assert len(work.lost) == len(work.opened) == 1


async def test_a_new_file_without_rights_is_read_when_they_are_given(unprivileged: Path) -> None:
    log = unprivileged / "full"
    touch(log)
    now = 0
    async with running(log, clock=lambda: now) as work:
        await work.up()
        append(log, b"one\n")
        await work.told(b"one")
        move(log, "full.1")
        touch(log)
        mode(log, 0o200)
        append(log.with_name("full.1"), b"late\n")
        append(log, b"two\n")
        await work.told(b"one", b"late")
        now += 5_000
        await until(lambda: bool(work.lost), what="told")
        mode(log, 0o600)
        await work.told(b"one", b"late", b"two")
        assert "add it to the group" in work.lost[0] or "chmod g+r" in work.lost[0]


async def test_a_directory_that_is_closed_and_opened_again_loses_nothing(unprivileged: Path) -> None:
    folder = unprivileged / "asterisk"
    folder.mkdir()
    log = folder / "full"
    touch(log)
    now = 0
    async with running(log, clock=lambda: now) as work:
        await work.up()
        with log.open("ab", buffering=0) as writer:
            mode(folder, 0)
            writer.write(b"one\n")
            await work.told(b"one")
            now += 5_000
            await polls(work)
            await until(lambda: bool(work.lost) or work.source.status()["up"] is True)
            mode(folder, 0o700)
            writer.write(b"two\n")
            await work.told(b"one", b"two")
            await work.up()


async def test_without_inotify_every_line_is_read_by_polling(unprivileged: Path) -> None:
    taken: list[Inotify] = []
    with suppress(OSError):  # EMFILE: this user has as many as it may
        for _ in range(10_000):
            taken.append(Inotify())  # noqa: PERF401 -- those made before the error count
    log = unprivileged / "full"
    touch(log)
    try:
        async with running(log) as work:
            await work.up()
            assert work.source.status()["notified"] is False
            with writing(log, 2_000, 2_000, user=0) as writer:
                for part in (1, 2, 3):
                    await work.read(part * 500)
                    move(log, f"full.{part}")
                    writer.reopen()
                    await until(lambda: os.access(log, os.R_OK), what="the new file")
                await work.read(2_000)
            assert numbers(work.lines) == list(range(2_000))
    finally:
        for inotify in taken:
            inotify.close()


async def test_the_probe_tells_what_a_readable_file_is(tmp_path: Path) -> None:
    log = tmp_path / "full"
    append(log, b"0123456789")
    os.utime(log, (1_700_000_000, 1_700_000_000))
    assert await probe(log) == f"{log}: readable, 10 bytes, last written 2023-11-14 22:13:20 UTC"


@pytest.mark.parametrize(
    ("file", "folder", "told"),
    [
        (0o240, 0o750, "the user 54321 may not read {log}: add it to the group "),
        (0o200, 0o750, "the user 54321 may not read {log}, nor may its group 54321: chmod g+r, and add the user"),
        (0o600, 0o010, "the user 54321 may not enter {folder}: add it to the group "),
        (0o600, 0o000, "the user 54321 may not enter {folder}, nor may its group 54321: chmod g+x, and add the user"),
    ],
)
async def test_the_probe_names_the_missing_right(unprivileged: Path, file: int, folder: int, told: str) -> None:
    parent = unprivileged / "asterisk"
    parent.mkdir()
    log = parent / "full"
    touch(log)
    mode(log, file)
    mode(parent, folder)
    try:
        with pytest.raises(SourceError) as raised:
            await probe(log)
    finally:
        mode(parent, 0o700)
    assert str(raised.value).startswith(f"{log} can't be read: {told.format(log=log, folder=parent)}")
