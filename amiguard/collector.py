"""When Python's garbage collector may stop the daemon.

What is known of attackers is freed as it goes: it makes no reference cycles. Those come from libraries, with each
connection to the control interface for example. To find them, a full collection walks over everything else too, and no
event is read meanwhile: for 30 ms with 20,000 addresses, for 0.3 s with 400,000. Python begins one whenever there is a
quarter more than at the last, which in a flood is again and again."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = (700, 10)
"""Python's own thresholds (`gc.set_threshold`) of the two young generations, which take a millisecond."""

NEVER = 1_000_000_000
"""A threshold that is not reached."""

LEAST = 60.0
"""Seconds between two full collections."""

RARELY = 1000
"""So many times as long as the last one took, if that is more: a thousandth of the time."""


async def collect_rarely() -> None:
    """Let full collections happen here alone, until cancelled."""
    before = gc.get_threshold()
    gc.set_threshold(*YOUNG, NEVER)
    took = 0.0
    try:
        while True:
            await asyncio.sleep(max(LEAST, took * RARELY))
            began = time.perf_counter()
            gc.collect()
            took = time.perf_counter() - began
    finally:
        gc.set_threshold(*before)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Spare the collector from walking over every new ban again and again: it doubles the time of a load."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def keep() -> None:
    """Let no collection walk any more over what there is now: it is never freed, or by its count of references."""
    gc.freeze()
