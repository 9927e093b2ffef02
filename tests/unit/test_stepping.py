"""Long work lets others in the event loop have their turn."""

from __future__ import annotations

import asyncio

from amiguard.stepping import in_steps


async def test_every_item_comes_in_its_order() -> None:
    assert [item async for item in in_steps(iter("abcde"), 2)] == list("abcde")


async def test_after_each_step_whoever_waits_has_a_turn() -> None:
    seen: list[int] = []
    done: list[int] = []

    async def other() -> None:
        while len(done) < 7:
            seen.append(len(done))
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for item in in_steps(range(7), 3):
        done.append(item)  # noqa: PERF401 -- the other one looks at it meanwhile
    await task
    assert seen == [3, 6]
