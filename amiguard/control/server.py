"""The control interface: HTTP/1.1 and JSON on a Unix socket, and over TCP if asked (docs/operations.md).

Errors are `{"error": "one sentence"}`: 400 makes no sense, 401 needs the token, 403 comes from another site, 404 is not
there, 405 not that method, 408 too slow, 409 is in the allowlist, 410 this listing is over, 413 too much, 415 no JSON,
421 another host, 422 wrong settings, 503 the kernel refuses or too many are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import cast

from aiohttp import web

from amiguard.control.audit import Audit
from amiguard.control.controlled import Controlled, Metrics, Reload
from amiguard.control.gate import no_other_site
from amiguard.control.listening import listen, regrouped, share
from amiguard.control.routes.allow import AllowRoutes
from amiguard.control.routes.bans import BanRoutes
from amiguard.control.routes.documents import DocumentRoutes
from amiguard.control.routes.events import EventRoutes
from amiguard.control.routes.health import HealthRoutes
from amiguard.control.routes.offenders import OffenderRoutes
from amiguard.control.routes.reload import ReloadRoutes
from amiguard.control.service import Service
from amiguard.control.settings import ControlSettings
from amiguard.control.stream import Stream
from amiguard.control.tcp import TcpDoor
from amiguard.control.timeline import Minute, Timeline
from amiguard.errors import ControlError
from amiguard.journal import Action, Journal
from amiguard.ports import Clock

PATIENCE = 5.0
"""Seconds that a client gets for its first request's head, and again for a request's body."""

SAMPLE = 10.0
"""Seconds between two looks at the totals."""


class ControlServer:
    """Serves the control interface.

    `stream` is where the journal's lines come from; what is None has no route."""

    def __init__(
        self,
        settings: ControlSettings,
        controlled: Controlled,
        journal: Journal,
        clock: Clock,
        stream: Stream,
        *,
        reload: Reload | None = None,
        metrics: Metrics | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._settings = settings
        self._controlled = controlled
        self._journal = journal
        self._clock = clock
        self._stream = stream
        self._timeline = Timeline()
        audit = Audit(journal)
        self._routes: list[web.RouteDef] = [
            *HealthRoutes(controlled, metrics).table(),
            *BanRoutes(controlled, audit, clock, patience).table(),
            *AllowRoutes(controlled, audit, clock, patience).table(),
            *OffenderRoutes(controlled).table(),
            *EventRoutes(stream, self.minutes).table(),
            *DocumentRoutes().table(),
            *([] if reload is None else ReloadRoutes(reload, audit).table()),
        ]
        self._unix = Service([no_other_site], self._routes, journal, patience)
        self._tcp = TcpDoor(lambda gate: Service([gate, no_other_site], self._routes, journal, patience))
        self._inode = 0
        self._problem = ""
        """Why the group may not use the socket; empty where it may."""
        self._sampling: asyncio.Task[None] | None = None

    def routes(self) -> list[tuple[str, str]]:
        """Return what is served: method and path."""
        return [(route.method, route.path) for route in self._routes]

    async def start(self) -> None:
        """Open the socket, and the TCP port where there is one, and serve.

        Raises:
            ControlError: another amiguard answers there, or one of them can't be opened.
        """
        socket, http = self._settings.socket, self._settings.http
        listener = listen(socket)
        self._inode = socket.lstat().st_ino
        self._problem = share(socket, self._settings.group) if self._settings.group else ""
        try:
            tcp = self._tcp.listener(http)
        except ControlError:
            listener.close()
            await self.close()
            raise
        await self._unix.start(listener)
        await self._tcp.change(http, self._settings.token, tcp)
        self._tell()
        self._sampling = asyncio.get_running_loop().create_task(self._sample())

    @asynccontextmanager
    async def changing(self, settings: ControlSettings) -> AsyncIterator[None]:
        """Be reached by other settings once the body is done; where it fails, nothing has changed.

        The socket's path is what stays. Event streams end that an earlier token opened.

        Raises:
            ControlError: the new port can't be opened, or the group can't be given the socket.
        """
        before, path = self._settings, self._settings.socket
        listener = self._tcp.listener(settings.http)
        try:
            with regrouped(path, settings.group) if settings.group != before.group else nullcontext():
                yield
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        self._settings = replace(settings, socket=path)
        if settings.group != before.group:
            self._problem = ""
        await self._tcp.change(settings.http, settings.token, listener)
        self._tell()

    async def close(self) -> None:
        """Take no more requests, give those in progress a moment, and remove the socket."""
        if not self._inode:
            return
        self._unix.shut()
        self._tcp.shut()
        try:
            if self._settings.socket.lstat().st_ino == self._inode:
                self._settings.socket.unlink()
        except FileNotFoundError:
            pass
        self._inode = 0
        self._stream.close()
        if self._sampling is not None:
            self._sampling.cancel()
        await self._unix.close()
        await self._tcp.close()

    def minutes(self) -> Sequence[Minute]:
        """Return the timeline, up to now."""
        totals = cast("Mapping[str, int]", self._controlled.status().get("totals", {}))
        now = self._clock()
        self._timeline.note(now, totals.get("failures", 0), totals.get("bans", 0))
        return self._timeline.minutes(now)

    def _tell(self) -> None:
        path, http, problem = self._settings.socket, self._settings.http, self._problem
        self._journal.write(
            Action.CONTROL_OPENED,
            f"commands are taken at {path}" + (f"; for root and the own user only: {problem}" if problem else ""),
            path=str(path),
            group="" if problem else self._settings.group,
            http="" if http is None else f"{http.host} port {http.port}",
        )

    async def _sample(self) -> None:
        while True:
            self.minutes()
            await asyncio.sleep(SAMPLE)
