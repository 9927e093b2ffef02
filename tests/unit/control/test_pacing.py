"""How much of the event loop answers may take, by a clock that stands still while anybody works."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from types import SimpleNamespace

import pytest
from typing_extensions import override

from amiguard.control import pacing
from amiguard.control.pacing import Pacer

SECONDS = 10.0
TOOK = 0.001
"""Seconds that an answer takes."""


class Skipping(selectors.DefaultSelector):
    """Waits for nothing, but moves the clock on as if it had."""

    now = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop in which time passes only while all wait."""

    def __init__(self) -> None:
        self._clock = Skipping()
        super().__init__(self._clock)

    @override
    def time(self) -> float:
        return self._clock.now


def timed(test: Coroutine[None, None, float], monkeypatch: pytest.MonkeyPatch) -> float:
    with asyncio.Runner(loop_factory=Loop) as runner:
        monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=runner.get_loop().time))
        return runner.run(test)


async def answered(clients: int) -> float:
    """Return how many answers a second so many clients get, each of whom asks without end."""
    pacer, answers = Pacer(), 0

    async def insist() -> None:
        nonlocal answers
        connection = object()
        while True:
            await pacer.turn(connection)
            pacer.spent(TOOK)
            answers += 1

    crowd = [asyncio.create_task(insist()) for _ in range(clients)]
    await asyncio.sleep(SECONDS)
    for client in crowd:
        client.cancel()
    await asyncio.wait(crowd)
    return answers / SECONDS


@pytest.mark.parametrize(("clients", "answers"), [(1, 833), (6, 93), (30, 28), (100, 17), (250, 17)])
def test_the_more_ask_the_less_of_the_loop_is_theirs(
    clients: int, answers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer takes 1.2 ms with what aiohttp takes; it is followed by a rest of 1, 9, 30 or 49 times that."""
    assert timed(answered(clients), monkeypatch) == pytest.approx(answers, rel=0.05)


async def after_many_gave_up() -> float:
    """Return how long ten answers take after fifty clients waited in vain."""
    pacer = Pacer()
    for _ in range(50):
        await pacer.turn(object())
        pacer.spent(TOOK)
        gone = asyncio.create_task(pacer.turn(object()))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait({gone})
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(10):
        await pacer.turn(object())
        pacer.spent(TOOK)
    return loop.time() - began


def test_who_gives_up_waiting_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timed(after_many_gave_up(), monkeypatch) < 10 * 0.0012 * 10, "as for a few"
