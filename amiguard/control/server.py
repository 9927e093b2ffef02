"""The control interface: HTTP/1.1 and JSON on a Unix socket. `docs/operations.md` describes it.

Errors are `{"error": "one sentence"}`: 400 makes no sense, 404 is not there, 405 not that method, 408 too slow, 409 is
in the allowlist, 413 too much, 503 the kernel refuses."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import cast

from aiohttp import web

from amiguard.control.audit import Audit
from amiguard.control.connections import Connections
from amiguard.control.controlled import Controlled
from amiguard.control.listening import listen
from amiguard.control.middleware import answering
from amiguard.control.requests import BODY
from amiguard.control.routes.bans import BanRoutes
from amiguard.control.routes.health import HealthRoutes
from amiguard.journal import Journal
from amiguard.ports import Clock

PATIENCE = 5.0
"""Seconds that a client gets for its first request's head, and again for a request's body."""

GRACE = 2.0
"""Seconds that requests in progress get when the server closes."""

KEEPALIVE = 15.0
"""Seconds that a connection may be idle between requests."""

QUIET = logging.Logger("amiguard.control", logging.CRITICAL + 1)  # noqa: LOG001 -- aiohttp would tell each client's garbage there; faults of ours are told to the journal


class ControlServer:
    """Serves the control interface on the socket at `path`."""

    def __init__(
        self, path: Path, controlled: Controlled, journal: Journal, clock: Clock, *, patience: float = PATIENCE
    ) -> None:
        self._path = path
        self._connections = Connections(patience)
        self._app = web.Application(middlewares=[answering(self._connections, journal)], client_max_size=BODY)
        self._app.add_routes(HealthRoutes(controlled).table())
        self._app.add_routes(BanRoutes(controlled, Audit(journal), clock, patience).table())
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def start(self) -> None:
        """Open the socket and serve.

        Raises:
            ControlError: another amiguard answers there, or the socket can't be made.
        """
        listener = listen(self._path)
        self._inode = self._path.lstat().st_ino
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
        self._server = await asyncio.get_running_loop().create_unix_server(accept, sock=listener)

    async def close(self) -> None:
        """Take no more requests, give those in progress a moment, and remove the socket."""
        if self._server is None or self._runner is None:
            return
        self._server.close()
        try:
            if self._path.lstat().st_ino == self._inode:
                self._path.unlink()
        except FileNotFoundError:
            pass
        await self._runner.cleanup()
        self._connections.close()
        self._server = self._runner = None
