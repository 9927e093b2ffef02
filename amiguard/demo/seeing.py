"""How the demo waits: for something to be seen, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amiguard.errors import AmiguardError


class NotSeen(AmiguardError):
    """The demo can't go on; the text says what is missing."""


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Bound the block's waiting.

    Raises:
        NotSeen: the time is over; `what` says what was waited for.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise NotSeen(f"{what}: not seen within {seconds:.0f} s") from None
