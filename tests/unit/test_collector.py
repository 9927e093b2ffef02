"""When the garbage collector walks over everything."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from amiguard import collector
from amiguard.collector import collect_rarely
from tests.lab.waiting import until


class Knot:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def full() -> Iterator[list[int]]:
    """One entry for each full collection that has begun."""
    begun: list[int] = []

    def note(phase: str, told: dict[str, int]) -> None:
        if phase == "start" and told["generation"] == 2:
            begun.append(1)

    gc.callbacks.append(note)
    yield begun
    gc.callbacks.remove(note)


@pytest.fixture
async def collecting() -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(collect_rarely())
    await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.usefixtures("collecting")
async def test_a_flood_starts_no_full_collection(full: list[int]) -> None:
    flood = [[number] for number in range(500_000)]

    assert len(flood) == 500_000
    assert full == []


async def test_a_knot_is_found_in_the_end(monkeypatch: pytest.MonkeyPatch, full: list[int]) -> None:
    monkeypatch.setattr(collector, "LEAST", 0.01)
    knot = Knot()
    gone = weakref.ref(knot)
    gc.collect()
    del knot, full[:]
    task = asyncio.create_task(collect_rarely())

    await until(lambda: gone() is None, what="the knot to be found")

    assert full
    task.cancel()
    await asyncio.wait({task})


async def test_the_longer_a_collection_takes_the_later_is_the_next(
    monkeypatch: pytest.MonkeyPatch, full: list[int]
) -> None:
    monkeypatch.setattr(collector, "LEAST", 0.01)
    monkeypatch.setattr(collector, "RARELY", 1_000_000)
    task = asyncio.create_task(collect_rarely())
    await until(lambda: bool(full), what="the first collection")

    await asyncio.sleep(0.1)

    assert len(full) == 1
    task.cancel()
    await asyncio.wait({task})


async def test_who_ends_it_has_the_thresholds_of_before() -> None:
    before = gc.get_threshold()
    collecting = asyncio.create_task(collect_rarely())
    await asyncio.sleep(0)
    during = gc.get_threshold()
    collecting.cancel()
    await asyncio.wait({collecting})

    assert during[:2] == collector.YOUNG
    assert gc.get_threshold() == before
