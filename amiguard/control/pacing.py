"""Keeps a crowd of clients from taking the event loop away from the bans."""

from __future__ import annotations

import asyncio
import time

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

ALONE, FEW, MANY = 1, 9, 49
"""How long the loop is left alone after an answer, in times of what it took: while one connection asks, while several
do in turn, as a browser does, and while that many or more wait. Between these two it is their number."""

OVERHEAD = 0.0002
"""Seconds that aiohttp takes for a request, before and after our part of it."""

LONGEST = 0.02
"""Seconds: what an answer took beyond this, it waited for something else."""

DEBT = 0.002
"""Seconds of rest that may be owed: the loop's timers know no shorter ones."""


class Pacer:
    """Lets in one request after the other, and leaves the loop half of its time: the more ask, the more."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._last: object = None
        self._waiting = 0
        self._rest = ALONE
        self._free_at = 0.0

    async def turn(self, connection: object) -> None:
        """Wait until it is this connection's turn."""
        self._waiting += 1
        try:
            async with self._turn:
                delay = self._free_at - time.monotonic()
                if delay > DEBT:
                    await asyncio.sleep(delay)
                self._rest = ALONE if connection is self._last else min(max(FEW, self._waiting), MANY)
                self._last = connection
                self.spent(OVERHEAD)
        finally:
            self._waiting -= 1

    def spent(self, seconds: float) -> None:
        """Note how long an answer took."""
        self._free_at = max(self._free_at, time.monotonic()) + min(seconds, LONGEST) * self._rest


def pacing(pacer: Pacer) -> Middleware:
    """Return the middleware that lets each request wait for its turn."""

    @web.middleware
    async def pace(request: web.Request, handler: Handler) -> web.StreamResponse:
        await pacer.turn(request.protocol)
        began = time.perf_counter()
        try:
            return await handler(request)
        finally:
            pacer.spent(time.perf_counter() - began)

    return pace
