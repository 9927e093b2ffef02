"""The control interface: HTTP/1.1 and JSON on a Unix socket, and over TCP if asked (docs/operations.md).

Errors are `{"error": "one sentence"}`: 400 makes no sense, 401 needs the token, 403 comes from another site, 404 is
not there, 405 not that method, 408 too slow, 409 would hit who is allowed or known here, 410 this listing is over,
413 too much, 415 no JSON, 421 another host, 422 wrong settings, 503 the kernel refuses or too many are there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from amiguard.control.controlled import Controlled, Metrics, Reload
from amiguard.control.door import Door
from amiguard.control.listening import listen, regrouped, share
from amiguard.control.settings import ControlSettings
from amiguard.control.stream import Stream
from amiguard.control.tcp import TcpDoor
from amiguard.control.token import Token
from amiguard.errors import ControlError
from amiguard.journal import Action, Journal
from amiguard.ports import Clock

if TYPE_CHECKING:
    from amiguard.control.api import Api
    from amiguard.control.service import Service

PATIENCE = 5.0
"""Seconds that a client gets for its first request's head, and again for a request's body."""


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
        self._reload = reload
        self._metrics = metrics
        self._patience = patience
        self._unix = Door(self._service, journal)
        self._tcp = TcpDoor(lambda token: Door(partial(self._service, token), journal))
        self._inode = 0
        self._problem = ""
        """Why the group may not use the socket; empty where it may."""

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
        self._unix.start(listener)
        await self._tcp.change(http, self._settings.token, tcp)
        self._tell()

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
        await self._unix.close()
        await self._tcp.close()

    @cached_property
    def api(self) -> Api:
        """What is served."""
        from amiguard.control.api import Api

        return Api(
            self._controlled,
            self._journal,
            self._clock,
            self._stream,
            reload=self._reload,
            metrics=self._metrics,
            patience=self._patience,
        )

    def _service(self, token: Token | None = None) -> Service:
        return self.api.service(token)

    def _tell(self) -> None:
        path, http, problem = self._settings.socket, self._settings.http, self._problem
        self._journal.write(
            Action.CONTROL_OPENED,
            f"commands are taken at {path}" + (f"; for root and the own user only: {problem}" if problem else ""),
            path=str(path),
            group="" if problem else self._settings.group,
            http="" if http is None else f"{http.host} port {http.port}",
        )
