"""Long work in the event loop, a part at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Item = TypeVar("Item")


async def in_steps(items: Iterable[Item], step: int) -> AsyncIterator[Item]:
    """Yield `items`; after each `step` of them whatever else waits in the loop is done first."""
    for number, item in enumerate(items, 1):
        yield item
        if number % step == 0:
            await asyncio.sleep(0)
