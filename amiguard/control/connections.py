"""Connections of the control interface: how many there may be, and for how long one may stay silent."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from amiguard.control.tcp import SETTLED
from amiguard.override import override

MOST = 256
"""Connections at once to each of socket and TCP port; the others are told so and cut."""

FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 35\r\n"
    b'Retry-After: 5\r\nConnection: close\r\n\r\n{"error": "too many are connected"}'
)


class TurnedAway(asyncio.Protocol):
    """A connection for which there is no room."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast("asyncio.Transport", transport)
        connection.write(FULL)
        connection.close()


class Connections:
    """Makes the protocol of each new connection, and cuts those that stay silent: aiohttp would wait for ever."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def accept(self, http: web.Server) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection."""
        if len(self._silent) >= MOST:
            self._forget_lost()
        if len(self._silent) >= MOST or len(http.connections) >= MOST:
            return TurnedAway()
        connection = http()
        self._silent[connection] = asyncio.get_running_loop().call_later(self._patience, self._cut, connection)
        return connection

    def spoke(self, connection: web.RequestHandler) -> None:
        """Note that a whole request has come."""
        timer = self._silent.pop(connection, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Cut all that are still silent."""
        for connection in list(self._silent):
            self._cut(connection)

    def _forget_lost(self) -> None:
        """Forget who has gone without a word; but not who came a moment ago and has no transport yet."""
        before = asyncio.get_running_loop().time() + self._patience - SETTLED
        for connection, timer in list(self._silent.items()):
            if connection.transport is None and timer.when() < before:
                self.spoke(connection)

    def _cut(self, connection: web.RequestHandler) -> None:
        self._silent.pop(connection).cancel()
        if connection.transport is not None:
            connection.transport.abort()
