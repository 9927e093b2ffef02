"""How much of the event loop answers may take."""

from __future__ import annotations

import asyncio
import time

import pytest

from amiguard.control.pacing import Pacer

SECONDS = 1.0
TOOK = 0.001
"""Seconds that an answer takes."""


async def answered(clients: int) -> int:
    """Return how many answers so many clients get in `SECONDS`, each of whom asks without end."""
    pacer, answers = Pacer(), 0

    async def insist() -> None:
        nonlocal answers
        connection = object()
        while True:
            await pacer.turn(connection)
            pacer.spent(TOOK)
            answers += 1

    crowd = [asyncio.create_task(insist()) for _ in range(clients)]
    began = time.monotonic()
    await asyncio.sleep(SECONDS)
    length = time.monotonic() - began
    for client in crowd:
        client.cancel()
    await asyncio.wait(crowd)
    return round(answers / length)


@pytest.mark.parametrize(
    ("clients", "least", "most"),
    [(1, 300, 850), (6, 40, 100), (30, 13, 30), (100, 9, 20), (250, 9, 20)],
)
async def test_the_more_ask_the_less_of_the_loop_is_theirs(clients: int, least: int, most: int) -> None:
    """An answer takes 1.2 ms with what aiohttp takes; it is followed by a rest of 1, 9, 30 or 49 times that."""
    assert least <= await answered(clients) <= most


async def test_who_gives_up_waiting_is_not_counted() -> None:
    pacer = Pacer()
    for _ in range(50):
        await pacer.turn(object())
        pacer.spent(TOOK)
        gone = asyncio.create_task(pacer.turn(object()))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait({gone})
    began = time.monotonic()
    for _ in range(10):
        await pacer.turn(object())
        pacer.spent(TOOK)

    assert time.monotonic() - began < 10 * 0.0012 * 20, "as for a few"
