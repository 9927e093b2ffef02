"""The recorder, before a store that refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from amiguard import recorder
from amiguard.errors import StoreError
from amiguard.journal import Action
from amiguard.model import Ban, Reason, Target, Timestamp
from amiguard.ports import Change, Ended, Ending, Position, Saved
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


def targets(count: int) -> Iterator[Target]:
    return (Target(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(count))


def ban(target: Target) -> Ban:
    return Ban(target, 0, 1_000, Reason.WRONG_PASSWORD)


def position(offset: int) -> Position:
    return Position("/log", 1, 1, offset, "")


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


async def test_bans_that_ended_meanwhile_take_no_memory(recording: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_most", 100)
    monkeypatch.setattr(recorder, "MAX_WAITING", 100)
    for target in targets(10_000):
        recording.record(ban(target))
        recording.record(Ended(target, 1_000, Ending.EXPIRE))

        assert recording.waiting <= 101


async def test_a_position_stays_behind_the_bans_that_it_was_read_after(
    recording: Recorder, store: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_most", 3)
    first, second = map(ban, targets(2))
    for change in (position(1), first, second, position(2)):
        recording.record(change)
    store.full = False

    assert await recording.flush()
    assert store.written == [first, second, position(2)]


async def test_a_flood_of_new_offenders_costs_no_more_while_the_disk_is_full(recording: Recorder) -> None:
    begin = time.thread_time()
    for target in targets(4 * recorder.MAX_WAITING):
        recording.record(ban(target))

    assert time.thread_time() - begin < 10, "thinning out at each change takes an hour"


async def test_a_store_that_cannot_even_be_closed_is_told(recording: Recorder, journal: RecordingJournal) -> None:
    await recording.close()

    assert journal.count(Action.STORE_FAILED) == 1
