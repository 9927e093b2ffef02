"""How tests wait: for a condition, with a bound, never for a time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

STEP = 0.005


async def until(condition: Callable[[], bool | Awaitable[bool]], timeout: float = 5, what: str = "") -> None:  # noqa: ASYNC109 -- the bound is this function's point
    """Return as soon as `condition` holds.

    Raises:
        AssertionError: it did not hold within `timeout` seconds; `what` says what was waited for.
    """
    end = time.monotonic() + timeout
    while True:
        held = condition()
        if inspect.isawaitable(held):
            held = await held
        if held:
            return
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        await asyncio.sleep(STEP)


def wait_until(condition: Callable[[], bool], timeout: float = 5, what: str = "") -> None:
    """Block until `condition` holds; for tests without a loop. Raises AssertionError like `until`."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(STEP)
