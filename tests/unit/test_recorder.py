"""The recorder, before a store that refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from amiguard.errors import StoreError
from amiguard.journal import Action
from amiguard.model import Ban, Reason, Target, Timestamp
from amiguard.ports import Change, Saved
from amiguard.recorder import Recorder
from tests.lab.journal import RecordingJournal


class Refusing:
    """A store that takes nothing while `full`."""

    def __init__(self) -> None:
        self.full = True
        self.written: list[Change] = []

    async def open(self, now: Timestamp) -> Saved:
        return Saved()

    async def write(self, changes: Sequence[Change]) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.written += changes

    async def close(self) -> None:
        if self.full:
            raise StoreError("the disk is full")


class Moved(Refusing):
    """A store to which the recorder may move; what is in `remembered` was there before."""

    def __init__(self, *remembered: Ban) -> None:
        super().__init__()
        self.full = False
        self.source: Path | None = None
        self.discarded = False
        self._remembered = remembered

    @override
    async def open(self, now: Timestamp) -> Saved:
        return Saved(self._remembered)

    async def open_as_copy(self, source: Path) -> None:
        self.source = source

    async def discard(self) -> None:
        self.discarded = True


class Unreadable(Refusing):
    """A store that can't be opened."""

    @override
    async def open(self, now: Timestamp) -> Saved:
        raise StoreError("no such directory")


def targets(count: int) -> Iterator[Target]:
    return (Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(count))


def ban(target: Target) -> Ban:
    return Ban(target, 0, 1_000, Reason.WRONG_PASSWORD)


@pytest.fixture
def store() -> Refusing:
    return Refusing()


@pytest.fixture
def journal() -> RecordingJournal:
    return RecordingJournal()


@pytest.fixture
async def recording(store: Refusing, journal: RecordingJournal) -> Recorder:
    made = Recorder(store, journal, lambda: 0, lambda _: None)
    await made.open()
    return made


async def test_a_store_that_cannot_even_be_closed_is_told(recording: Recorder, journal: RecordingJournal) -> None:
    await recording.close()

    assert journal.count(Action.STORE_FAILED) == 1


SOURCE = Path("/old.db")


async def test_what_waits_and_what_comes_while_the_store_moves_is_in_the_new_one(
    recording: Recorder, store: Refusing
) -> None:
    first, second = map(ban, targets(2))
    recording.record(first)
    moved = Moved()

    async with recording.moving(moved, SOURCE):
        recording.record(second)
        writing = asyncio.create_task(recording.flush())
        await asyncio.sleep(0)

    assert await writing
    assert (moved.source, moved.written, recording.waiting) == (SOURCE, [first, second], 0)
    assert store.written == []


async def test_when_another_step_fails_the_store_stays_and_its_copy_is_removed(
    recording: Recorder, store: Refusing
) -> None:
    moved = Moved()
    store.full = False

    async def fail() -> None:
        async with recording.moving(moved, SOURCE):
            recording.record(ban(Target("10.0.0.1")))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()

    assert await recording.flush()
    assert store.written == [ban(Target("10.0.0.1"))]
    assert moved.discarded
    assert moved.written == []


async def test_a_store_that_could_never_be_opened_gives_way_to_one_that_can(journal: RecordingJournal) -> None:
    restored: list[Saved] = []
    recording = Recorder(Unreadable(), journal, lambda: 0, restored.append)
    await recording.open()
    new, earlier = map(ban, targets(2))
    recording.record(new)
    moved = Moved(earlier)

    async with recording.moving(moved, SOURCE):
        pass

    assert (moved.source, moved.written, recording.failing) == (None, [new], "")
    assert [[*saved.bans] for saved in restored] == [[earlier]]
    assert journal.of(Action.STORE_RECOVERED)


async def test_a_store_that_can_not_be_opened_either_is_refused(journal: RecordingJournal) -> None:
    class NorThis(Moved):
        @override
        async def open(self, now: Timestamp) -> Saved:
            raise StoreError("no such directory")

    recording = Recorder(Unreadable(), journal, lambda: 0, lambda _: None)
    await recording.open()
    recording.record(ban(Target("10.0.0.1")))

    with pytest.raises(StoreError, match="no such directory"):
        async with recording.moving(NorThis(), SOURCE):
            pytest.fail("the store was taken")
    assert recording.waiting == 1
