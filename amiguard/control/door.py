"""A door of the control interface that nobody has knocked at yet: what serves behind it is only made then.

aiohttp takes 13 MB and 140 ms of CPU, and many servers are never asked anything. It is imported in a thread, so that
bans wait for it no longer than the interpreter takes to switch."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from amiguard.collector import keep
from amiguard.journal import Action, Journal

if TYPE_CHECKING:
    from amiguard.control.service import Service

QUEUE = 128
"""Connections that wait in the kernel to be accepted."""

LIBRARY = "amiguard.control.api"
"""What takes that long to import."""

AGAIN = 1.0
"""Seconds until the next attempt, where neither file descriptors nor memory are left to import anything."""


class Door:
    """Serves whoever comes in by one socket, from the first one on. `serve` makes what serves, by `LIBRARY`."""

    def __init__(self, serve: Callable[[], Service], journal: Journal) -> None:
        self._serve = serve
        self._journal = journal
        self._listener: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._service: Service | None = None

    def start(self, listener: socket.socket) -> None:
        """Let clients connect."""
        self._listener = listener
        listener.listen(QUEUE)
        asyncio.get_running_loop().add_reader(listener, self._knocked, listener)

    async def end_streams(self) -> None:
        """Let the event streams end of all who came in by this door."""
        if self._service is not None:
            await self._service.end_streams()

    def shut(self) -> None:
        """Let nobody else in."""
        if self._opening is not None:
            self._opening.cancel()
        elif self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        if self._service is not None:
            self._service.shut()
        self._listener = None

    async def close(self) -> None:
        """Give requests in progress a moment, and cut what is left."""
        self.shut()
        if self._opening is not None:
            await asyncio.wait({self._opening})
        if self._service is not None:
            await self._service.close()
        self._service = None

    def _knocked(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._opening = loop.create_task(self._open(listener))

    async def _open(self, listener: socket.socket) -> None:
        try:
            service = await self._made()
            keep()
            await service.start(listener)
        except BaseException:
            listener.close()
            raise

    async def _made(self) -> Service:
        while self._service is None:
            try:
                await asyncio.to_thread(import_module, LIBRARY)
                self._service = self._serve()
            except (ImportError, OSError, MemoryError) as error:
                self._journal.write(Action.INTERNAL_ERROR, "commands can't be taken yet", error=error)
                await asyncio.sleep(AGAIN)
        return self._service
