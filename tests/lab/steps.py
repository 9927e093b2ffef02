"""How long each step of the event loop takes, in seconds of the processor: what waits for its end, every ban does."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

BREATH = 0.05
"""Seconds that no step may take, however much there is to do; a slow machine takes four times what ours does."""


@contextmanager
def steps() -> Iterator[list[float]]:
    """Measure the steps that are taken meanwhile; without garbage collections, which `collector.py` sees to."""
    taken: list[float] = []
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        taken.append(time.thread_time() - began)

    gc.disable()
    try:
        with patch.object(asyncio.Handle, "_run", measured):
            yield taken
    finally:
        gc.enable()
