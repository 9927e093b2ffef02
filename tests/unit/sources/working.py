"""A source at work, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amiguard.ports import Source


@asynccontextmanager
async def at_work(source: Source) -> AsyncIterator[None]:
    """Run a source until the end of the block, then cancel it: it must end by that, and never by itself."""
    task = asyncio.create_task(source.run())
    try:
        yield
        assert not task.done(), "the source must never end by itself"
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
    assert task.cancelled()
