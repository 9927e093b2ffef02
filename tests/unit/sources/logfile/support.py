"""What the tests of the log source share: a source that runs, and what it told."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from amiguard.clock import steady_clock
from amiguard.journal import Action
from amiguard.ports import Clock, Position
from amiguard.sources.logfile import LogSource
from amiguard.sources.logfile.tail import NO_HEAD
from tests.lab.journal import RecordingJournal
from tests.lab.waiting import until
from tests.unit.sources.working import at_work

WALL_CLOCK = steady_clock()


def append(path: Path, data: bytes) -> None:
    with path.open("ab", buffering=0) as file:
        file.write(data)


def touch(path: Path) -> None:
    path.touch()


def move(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def mode(path: Path, bits: int) -> None:
    path.chmod(bits)


def beginning(path: Path) -> Position:
    """The position of a file of which nothing was read."""
    found = path.stat()
    return Position(str(path), found.st_dev, found.st_ino, 0, NO_HEAD)


def content(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")


def copy_and_truncate(path: Path) -> list[bytes]:
    """logrotate `copytruncate`; return what the copy holds."""
    copy = path.with_name(f"{path.name}.1")
    shutil.copyfile(path, copy)
    truncate(path)
    return content(copy)


def descriptors() -> set[str]:
    """What this process has open, but for the folder that tells so."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(f"{entry.name} {entry.readlink()}")
    return found


class Running:
    """A source at work, with what it told."""

    def __init__(
        self,
        paths: Iterable[Path],
        positions: Iterable[Position] = (),
        sink: Callable[[Path, bytes, bool], object] | None = None,
        clock: Clock = WALL_CLOCK,
    ) -> None:
        self.got: list[tuple[Path, bytes]] = []
        self.journal = RecordingJournal()
        self.source = LogSource(
            list(paths),
            sink or (lambda path, line, _live: self.got.append((path, line))),
            self.journal,
            clock,
            positions={position.path: position for position in positions},
        )

    @property
    def lines(self) -> list[bytes]:
        return [line for _, line in self.got]

    @property
    def opened(self) -> list[str]:
        return [line.message for line in self.journal.of(Action.LOG_OPENED)]

    @property
    def lost(self) -> list[str]:
        return [line.message for line in self.journal.of(Action.LOG_LOST)]

    async def up(self) -> None:
        await until(lambda: bool(self.source.status()["up"]) and bool(self.opened), what="all files read")

    async def read(self, count: int) -> None:
        await until(lambda: len(self.got) >= count, 10, f"{count} lines")

    async def news(self, count: int) -> None:
        await until(lambda: len(self.opened) >= count, what=f"{count} times opened")

    async def missed(self, count: int = 1) -> None:
        await until(lambda: len(self.lost) >= count, what=f"{count} times lost")

    async def told(self, *lines: bytes) -> None:
        """Wait for as many lines, and compare all there are."""
        await self.read(len(lines))
        assert self.lines == list(lines)


@asynccontextmanager
async def running(
    *paths: Path,
    positions: Iterable[Position] = (),
    sink: Callable[[Path, bytes, bool], object] | None = None,
    clock: Clock = WALL_CLOCK,
) -> AsyncIterator[Running]:
    """Run a source until the end of the block, then cancel it."""
    work = Running(paths, positions, sink, clock)
    async with at_work(work.source):
        yield work
