"""`/api/v1/events` and `/api/v1/timeline`: what happens, live and over the last day."""

from __future__ import annotations

import asyncio

from aiohttp import web

from amiguard.answers import iso
from amiguard.control.controlled import Controlled
from amiguard.control.requests import read_after
from amiguard.control.stream import Stream, Watcher
from amiguard.ports import Clock

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent: it shows who is gone."""

STUCK = 10.0
"""Seconds that a watcher may take nothing at all before it is cut."""

WATCHERS: web.AppKey[set[Watcher]] = web.AppKey("watchers", set)
"""Who watches by one door."""


async def end_streams(app: web.Application) -> None:
    """Let everybody's stream end who watches by this door."""
    for watcher in app[WATCHERS]:
        watcher.end()


class EventRoutes:
    """What happens."""

    def __init__(self, stream: Stream, controlled: Controlled, clock: Clock) -> None:
        self._stream = stream
        self._controlled = controlled
        self._clock = clock

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/api/v1/events", self._events), web.get("/api/v1/timeline", self._minutes)]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        with self._stream.watching(read_after(request.query, request.headers)) as watcher:
            request.app[WATCHERS].add(watcher)
            try:
                await response.prepare(request)
                while chunk := await _next(watcher):
                    async with asyncio.timeout(STUCK):
                        await response.write(chunk)
            except TimeoutError:
                if request.transport is not None:
                    request.transport.abort()
            except ConnectionError:
                pass
            finally:
                request.app[WATCHERS].discard(watcher)
        return response

    async def _minutes(self, _: web.Request) -> web.Response:
        minutes = self._controlled.timeline.minutes(self._clock())
        told = [{"at": iso(one.at), "failures": one.failures, "bans": one.bans} for one in minutes]
        return web.json_response({"minutes": told})


async def _next(watcher: Watcher) -> bytes:
    try:
        async with asyncio.timeout(HEARTBEAT):
            return await watcher.next()
    except TimeoutError:
        return b":\n\n"
