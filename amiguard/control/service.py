"""Serves the routes to those who come in by one door: the Unix socket, or the TCP port."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from amiguard.control.accepting import Acceptor
from amiguard.control.connections import Connections
from amiguard.control.middleware import answering, protect
from amiguard.control.pacing import Pacer, pacing
from amiguard.control.requests import BODY
from amiguard.control.routes.events import WATCHERS, end_streams
from amiguard.journal import Journal

GRACE = 2.0
"""Seconds that requests in progress get when the server closes."""

KEEPALIVE = 15.0
"""Seconds that a connection may be idle between requests."""

QUIET = logging.Logger("amiguard.control", logging.CRITICAL + 1)  # noqa: LOG001 -- aiohttp would tell each client's garbage there; faults of ours are told to the journal


class Service:
    """One door: its connections have a bound and a pace of their own, so that a crowd at one does not close the other.

    `gates` are the middlewares that decide who may ask."""

    def __init__(
        self, gates: Iterable[Middleware], routes: Sequence[web.RouteDef], journal: Journal, patience: float
    ) -> None:
        self._connections = Connections(patience)
        outer = [answering(self._connections, journal), pacing(Pacer())]
        self._app = web.Application(middlewares=[*outer, *gates], client_max_size=BODY)
        self._app.on_response_prepare.append(protect)
        self._app[WATCHERS] = set()
        self._app.on_shutdown.append(end_streams)
        self._app.add_routes(routes)
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve whoever comes in by this socket."""
        self._runner = web.AppRunner(
            self._app,
            access_log=None,
            logger=QUIET,
            keepalive_timeout=KEEPALIVE,
            lingering_time=1.0,
            shutdown_timeout=GRACE,
        )
        await self._runner.setup()
        accept = partial(self._connections.accept, cast("web.Server", self._runner.server))
        self._acceptor = Acceptor(listener, accept)

    async def end_streams(self) -> None:
        """Let the event streams end of all who came in by this door."""
        await end_streams(self._app)

    def shut(self) -> None:
        """Let nobody else in."""
        if self._acceptor is not None:
            self._acceptor.close()

    async def close(self) -> None:
        """Give requests in progress a moment, and cut what is left."""
        self.shut()
        if self._runner is not None:
            await self._runner.cleanup()
        self._connections.close()
        self._acceptor = self._runner = None
